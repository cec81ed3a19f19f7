/*
 * NTB port: taking in what the other ports have changed
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_POLL_H
#define HW_NTB_NTB_POLL_H

#include "ntb-port.h"

void ntb_poll(NTBPort *s);

#endif /* HW_NTB_NTB_POLL_H */
