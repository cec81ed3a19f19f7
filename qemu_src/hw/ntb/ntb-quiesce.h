/*
 * NTB port: closing the windows of others
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_QUIESCE_H
#define HW_NTB_NTB_QUIESCE_H

#include "ntb-port.h"

void ntb_quiesce_join(NTBPort *s);
void ntb_quiesce_leave(NTBPort *s);
void ntb_quiesce(NTBPort *s);

#endif /* HW_NTB_NTB_QUIESCE_H */
