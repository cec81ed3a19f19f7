/*
 * EPF NTB port: the link as the guest sees it, doorbells that come, MSI-X
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_IRQ_H
#define HW_NTB_EPF_NTB_IRQ_H

#include "epf-ntb-state.h"

/* This port itself has done something about the link: nobody is interrupted */
void epf_ntb_irq_own_link(EPFNTBState *s);
/* The peer may have: link first, then the doorbells that it has rung */
void epf_ntb_irq_update(EPFNTBState *s);
/* Bit n: vector n is masked; it waits to be unmasked */
uint32_t epf_ntb_irq_masked(EPFNTBState *s);
uint32_t epf_ntb_irq_waiting(EPFNTBState *s);
void epf_ntb_irq_reset(EPFNTBState *s);

#endif /* HW_NTB_EPF_NTB_IRQ_H */
