/*
 * NTB port: trouble of the host, told in bounded numbers
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_WARN_H
#define HW_NTB_NTB_WARN_H

#include "ntb-port.h"

/* A bounded number of times for each device */
void ntb_warn(NTBPort *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#endif /* HW_NTB_NTB_WARN_H */
