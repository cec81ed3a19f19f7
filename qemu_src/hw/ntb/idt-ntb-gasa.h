/*
 * IDT NTB port: the switch's global address space
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_GASA_H
#define HW_NTB_IDT_NTB_GASA_H

#include "idt-ntb-state.h"

void idt_ntb_gasa_init(void);
/* What GASAADDR points at */
uint32_t idt_ntb_gasa_read(IDTNTBState *s);
void idt_ntb_gasa_write(IDTNTBState *s, uint32_t val);
void idt_ntb_gasa_reset(IDTNTBState *s);
void idt_ntb_gasa_publish(IDTNTBState *s);

#endif /* HW_NTB_IDT_NTB_GASA_H */
