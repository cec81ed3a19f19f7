/*
 * EPF NTB port: scratchpads
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_SPAD_H
#define HW_NTB_EPF_NTB_SPAD_H

#include "epf-ntb-state.h"

#define EPF_NTB_MIN_SPADS   6           /* Linux' transport wants as many */
#define EPF_NTB_MAX_SPADS   NTB_SHM_NUM_SPAD

void epf_ntb_spad_init(EPFNTBState *s);
/* The own ones, by a reset: what a past life has left tells nothing true */
void epf_ntb_spad_reset(EPFNTBState *s);

#endif /* HW_NTB_EPF_NTB_SPAD_H */
