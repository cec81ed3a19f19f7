/*
 * IDT NTB port: the switch's temperature sensor
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_TEMP_H
#define HW_NTB_IDT_NTB_TEMP_H

#include "idt-ntb-state.h"

/* @addr is one of the sensor's registers */
uint32_t idt_ntb_temp_read(IDTNTBState *s, uint32_t addr);
void idt_ntb_temp_write(IDTNTBState *s, uint32_t addr, uint32_t val);
void idt_ntb_temp_reset(IDTNTBState *s);
void idt_ntb_temp_init(IDTNTBState *s);
void idt_ntb_temp_class_init(ObjectClass *klass);

#endif /* HW_NTB_IDT_NTB_TEMP_H */
