/*
 * IDT NTB port: tables of registers, and what follows from them
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_REGS_H
#define HW_NTB_IDT_NTB_REGS_H

#include "idt-ntb-state.h"

typedef enum IDTNTBRegKind {
    IDT_NTB_RO,
    IDT_NTB_RW,
    IDT_NTB_W1C,                /* a written one clears */
    IDT_NTB_WO,                 /* a write acts, reads give zero */
} IDTNTBRegKind;

/*
 * All that is known of a register, or of @count alike ones @stride apart. It
 * reads as its field, unless it has a hook; a write changes what @mask lets it
 * of the field, then calls the hook. Hooks get the register's own address.
 */
typedef struct IDTNTBReg {
    uint32_t addr;
    const char *name;
    uint32_t field;             /* offset in IDTNTBState, 0: none */
    uint16_t mirror;            /* offset in struct ntb_shm_port, 0: none */
    IDTNTBRegKind kind;
    uint8_t event;              /* its changes are events of this kind */
    uint32_t mask;
    uint32_t reset;
    uint32_t (*read)(IDTNTBState *s, uint32_t addr);
    void (*write)(IDTNTBState *s, uint32_t addr, uint32_t val);
    uint16_t count, stride, step;       /* @step: of the field; 0, 0, 0: one */
    bool unimplemented;
} IDTNTBReg;

#define IDT_NTB_FIELD(f)  .field = offsetof(IDTNTBState, f)
#define IDT_NTB_MIRROR(f) .mirror = NTB_SHM_DEVICE_OFF + \
                                    offsetof(IDTNTBShmArea, f)
/* Changes are recorded as those of what is programmed, or of masks */
#define IDT_NTB_TOLD  .event = NTB_SHM_EV_REGISTER
#define IDT_NTB_TOLD_AS_MASK .event = NTB_SHM_EV_MASK
#define IDT_NTB_MANY(n, apart, field_apart) \
    .count = n, .stride = apart, .step = field_apart

/* Registers from @first up to @end; @at has @end - @first / 4 places */
typedef struct IDTNTBRegTable {
    const IDTNTBReg *regs;
    unsigned nregs;
    uint32_t first, end;
    const IDTNTBReg **at;       /* by word; see idt_ntb_regs_index() */
} IDTNTBRegTable;

void idt_ntb_regs_index(const IDTNTBRegTable *table);
/* Never NULL: what is not there is a register that is not implemented */
const IDTNTBReg *idt_ntb_regs_find(const IDTNTBRegTable *table, uint32_t addr);
uint32_t idt_ntb_reg_get(IDTNTBState *s, const IDTNTBReg *r, uint32_t addr);
/* False if the register cannot be written */
bool idt_ntb_reg_put(IDTNTBState *s, const IDTNTBReg *r, uint32_t addr,
                     uint32_t val);
void idt_ntb_regs_reset(IDTNTBState *s, const IDTNTBRegTable *table);
/* Show in the shared page what has changed of registers that have a mirror */
void idt_ntb_regs_mirror(IDTNTBState *s, const IDTNTBRegTable *table);

#endif /* HW_NTB_IDT_NTB_REGS_H */
