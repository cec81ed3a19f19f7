/*
 * IDT NTB port: interrupt status and signalling
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_IRQ_H
#define HW_NTB_IDT_NTB_IRQ_H

#include "idt-ntb-state.h"

uint32_t idt_ntb_msgsts(const IDTNTBState *s);
uint32_t idt_ntb_irq_status(const IDTNTBState *s);
void idt_ntb_irq_update(IDTNTBState *s);
/* The guest cleared the last cause of these NTINTSTS bits */
void idt_ntb_irq_fell(IDTNTBState *s, uint32_t bits);
void idt_ntb_irq_reset(IDTNTBState *s);

#endif /* HW_NTB_IDT_NTB_IRQ_H */
