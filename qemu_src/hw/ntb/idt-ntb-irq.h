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
/* Doorbells and messages have come: write down those that interrupt nobody */
void idt_ntb_irq_record_unheard(IDTNTBState *s);
/* Write down what MSI is set to, if that has changed */
void idt_ntb_irq_record_msi(IDTNTBState *s);
/* No interrupt for @causes; @why is NTB_SHM_QUIET_* */
void idt_ntb_irq_record_quiet(IDTNTBState *s, uint32_t why, uint32_t causes);

#endif /* HW_NTB_IDT_NTB_IRQ_H */
