/*
 * IDT NTB port: what its modules share
 *
 * idt-ntb-defs   registers and their fields
 * idt-ntb-irq    interrupt status, masks, MSI and INTx
 * idt-ntb-mw     what is programmed for memory windows
 * idt-ntb-lut    their lookup tables
 * idt-ntb-msg    doorbells, messages, switch events
 * idt-ntb-temp   the temperature sensor
 * idt-ntb-regs   tables of registers, and what follows from them
 * idt-ntb-nt     the NT function's registers
 * idt-ntb-gasa   the switch's global address space
 * idt-ntb-port   what the core asks of them
 * idt-ntb-pci    PCI device: properties, life cycle, configuration space
 *
 * Each of these uses only those above it, and the core (ntb-port.h).
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_STATE_H
#define HW_NTB_IDT_NTB_STATE_H

#include "hw/ntb/idt_ntb_shm.h"
#include "hw/pci/pci_device.h"
#include "idt-ntb-defs.h"
#include "ntb-port.h"

#define TYPE_IDT_NTB "idt-ntb-ivshmem"
OBJECT_DECLARE_SIMPLE_TYPE(IDTNTBState, IDT_NTB)

typedef struct idt_ntb_shm_area IDTNTBShmArea;
typedef struct idt_ntb_shm_lut IDTNTBShmLut;

#define IDT_NTB_MSGS        IDT_NTB_SHM_NUM_MSG
#define IDT_NTB_BARS        NTB_SHM_NUM_BARS
#define IDT_NTB_WINDOW_BARS IDT_NTB_SHM_LUT_BARS        /* BAR2 and BAR4 */
#define IDT_NTB_MAX_WINDOWS 29          /* IDT_MAX_NR_MWS of the driver */

/* What peers show of a port in their global space */
typedef struct IDTNTBLevels {
    uint32_t pcicmd, ntctl, mtbl, pcielctlsts;
} IDTNTBLevels;

/* The words of a lookup-table entry that wait for the one that commits them */
typedef struct IDTNTBLutStage {
    uint32_t low, high;
} IDTNTBLutStage;

/* BARSETUPn and its three companions */
typedef struct IDTNTBBarRegs {
    uint32_t setup, limit, ltbase, utbase;
} IDTNTBBarRegs;

/* The temperature sensor; temperatures in half degrees Celsius */
typedef struct IDTNTBTemp {
    int32_t mdeg;               /* what it is exposed to, milli-degrees */
    uint32_t ctl, slope, alarms;
    uint8_t adj;                /* signed */
    uint8_t now, lowest, highest;
} IDTNTBTemp;

/* What MSI is set to; @ctl 0: there is none */
typedef struct IDTNTBMsi {
    uint64_t addr;
    uint32_t ctl, data;
} IDTNTBMsi;

struct IDTNTBState {
    PCIDevice parent_obj;

    NTBPort port;

    /* properties */
    uint32_t vectors;
    char *bar_mode[IDT_NTB_WINDOW_BARS];
    uint64_t bar_size[IDT_NTB_WINDOW_BARS];
    bool db_loopback;
    bool mirror_mw;

    MemoryRegion bar0;
    unsigned lut_entries[IDT_NTB_WINDOW_BARS];  /* 0: direct, or no BAR */
    uint64_t programmed[IDT_NTB_MAX_WINDOWS];   /* the higher, the later */
    uint64_t mw_stamp;
    IDTNTBLevels peer[NTB_PORTS];               /* of attached ones only */

    /* interrupt state */
    uint32_t irq_seen;          /* NTINTSTS bits already signalled */
    bool irq_msi;               /* they were signalled by MSI */
    bool irq_busy, irq_again;
    uint32_t irq_was;           /* NTINTSTS as looked at last */

    /* registers */
    uint32_t ntctl;
    uint32_t ntintsts;          /* the sticky bits only */
    uint32_t ntintmsk;
    uint32_t ntsdata;
    uint32_t ntierrormsk[2];
    uint32_t indbellmsk;
    uint32_t outmsg[IDT_NTB_MSGS];
    uint32_t outmsgsts;
    uint32_t msgstsmsk;
    IDTNTBBarRegs bar[IDT_NTB_BARS];
    uint32_t ntmtbladdr, ntmtblsts, mtbl;
    uint32_t reqidcap;          /* of the access that goes on */
    uint32_t lutoffset;
    IDTNTBShmLut lut[IDT_NTB_WINDOW_BARS][IDT_NTB_SHM_LUT_ENTRIES];
    IDTNTBLutStage lut_stage[IDT_NTB_WINDOW_BARS][IDT_NTB_SHM_LUT_ENTRIES];
    IDTNTBMsi msi;              /* as written down last */
    uint64_t lut_shown_on;      /* which switch's page has these entries */
    uint32_t gasaaddr;
    uint32_t swpmsgctl[IDT_NTB_MSGS];
    uint32_t semsk, sepmsk;
    uint32_t selinkupsts, selinkupmsk;
    uint32_t selinkdnsts, selinkdnmsk;
    uint32_t segsigsts, segsigmsk;
    uint32_t sefrstmsk, sehrstmsk, sefovrmsk;   /* of events that never come */
    IDTNTBTemp temp;
};

static inline IDTNTBState *idt_ntb_of(NTBPort *port)
{
    return container_of(port, IDTNTBState, port);
}

static inline IDTNTBShmArea *idt_ntb_area(NTBShmPort *block)
{
    return (IDTNTBShmArea *)block->device;
}

/* As the guest of this port sees the one of @part */
static inline IDTNTBLevels idt_ntb_levels(const IDTNTBState *s, unsigned part)
{
    return s->port.peer[part].attached ? s->peer[part] : (IDTNTBLevels) { 0 };
}

static inline uint32_t idt_ntb_pcicmd(const IDTNTBState *s)
{
    return pci_get_word(s->parent_obj.config + PCI_COMMAND);
}

#endif /* HW_NTB_IDT_NTB_STATE_H */
