/*
 * IDT NTB port: lookup tables
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_LUT_H
#define HW_NTB_IDT_NTB_LUT_H

#include "idt-ntb-state.h"

/* @addr is one of LUTLDATA, LUTMDATA, LUTUDATA */
uint32_t idt_ntb_lut_read(IDTNTBState *s, uint32_t addr);
void idt_ntb_lut_write(IDTNTBState *s, uint32_t addr, uint32_t val);
void idt_ntb_lut_reset(IDTNTBState *s);
void idt_ntb_lut_publish(IDTNTBState *s);

#endif /* HW_NTB_IDT_NTB_LUT_H */
