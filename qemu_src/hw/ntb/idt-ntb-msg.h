/*
 * IDT NTB port: doorbells, messages, switch events
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_MSG_H
#define HW_NTB_IDT_NTB_MSG_H

#include "idt-ntb-state.h"

/* What the registers do; @addr is the register's */
void idt_ntb_outdbellset_write(IDTNTBState *s, uint32_t addr, uint32_t val);
uint32_t idt_ntb_indbellsts_read(IDTNTBState *s, uint32_t addr);
void idt_ntb_indbellsts_write(IDTNTBState *s, uint32_t addr, uint32_t bits);
void idt_ntb_outmsg_write(IDTNTBState *s, uint32_t addr, uint32_t val);
uint32_t idt_ntb_inmsg_read(IDTNTBState *s, uint32_t addr);
uint32_t idt_ntb_inmsgsrc_read(IDTNTBState *s, uint32_t addr);
uint32_t idt_ntb_msgsts_read(IDTNTBState *s, uint32_t addr);
void idt_ntb_msgsts_write(IDTNTBState *s, uint32_t addr, uint32_t bits);
void idt_ntb_ntgsignal_write(IDTNTBState *s, uint32_t addr, uint32_t val);

void idt_ntb_event(NTBPort *port, NTBEvent event, uint32_t parts);
void idt_ntb_msg_publish(IDTNTBState *s);

#endif /* HW_NTB_IDT_NTB_MSG_H */
