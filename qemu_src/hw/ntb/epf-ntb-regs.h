/*
 * EPF NTB port: the registers of page 0
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_REGS_H
#define HW_NTB_EPF_NTB_REGS_H

#include "epf-ntb-state.h"

bool epf_ntb_regs_init(EPFNTBState *s, Error **errp);
/* Everything reads as after power-on */
void epf_ntb_regs_reset(EPFNTBState *s);
/* Show tools what the guest would read, and what MSI-X is set to */
void epf_ntb_regs_publish(EPFNTBState *s);

#endif /* HW_NTB_EPF_NTB_REGS_H */
