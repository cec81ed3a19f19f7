/*
 * IDT NTB port: what is programmed for memory windows
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_MW_H
#define HW_NTB_IDT_NTB_MW_H

#include "idt-ntb-state.h"

bool idt_ntb_mw_setup(IDTNTBState *s, Error **errp);
void idt_ntb_mw_register(IDTNTBState *s);
NTBTranslation idt_ntb_mw_translation(NTBPort *port, unsigned window);
bool idt_ntb_mw_may_send(NTBPort *port);
/* After a write to a lookup-table entry, or to a BAR's four registers */
void idt_ntb_mw_entry_programmed(IDTNTBState *s, unsigned table,
                                 unsigned entry);
void idt_ntb_mw_bar_programmed(IDTNTBState *s, unsigned num);

#endif /* HW_NTB_IDT_NTB_MW_H */
