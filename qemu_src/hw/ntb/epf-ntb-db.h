/*
 * EPF NTB port: doorbells that the guest rings
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_DB_H
#define HW_NTB_EPF_NTB_DB_H

#include "epf-ntb-state.h"

void epf_ntb_db_init(EPFNTBState *s);

#endif /* HW_NTB_EPF_NTB_DB_H */
