/*
 * IDT NTB port: the NT function's registers
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_NT_H
#define HW_NTB_IDT_NTB_NT_H

#include "idt-ntb-state.h"

void idt_ntb_nt_init(void);
/* @off is below 0x1000 and a multiple of four, and not GASAADDR or GASADATA */
uint32_t idt_ntb_nt_read(IDTNTBState *s, uint32_t off);
void idt_ntb_nt_write(IDTNTBState *s, uint32_t off, uint32_t val);
void idt_ntb_nt_reset(IDTNTBState *s);
void idt_ntb_nt_publish(IDTNTBState *s);

#endif /* HW_NTB_IDT_NTB_NT_H */
