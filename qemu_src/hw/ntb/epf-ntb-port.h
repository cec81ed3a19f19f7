/*
 * EPF NTB port: what the core asks of it
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_PORT_H
#define HW_NTB_EPF_NTB_PORT_H

#include "epf-ntb-state.h"

extern const NTBPortOps epf_ntb_port_ops;

#endif /* HW_NTB_EPF_NTB_PORT_H */
