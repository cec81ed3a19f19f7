/*
 * NTB port: telling the others that windows into them are closed
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_ACK_H
#define HW_NTB_NTB_ACK_H

#include "ntb-port.h"

void ntb_ack(NTBPort *s);
/* Acknowledge nothing until no vCPU can hold a window that is closed now */
void ntb_ack_flush_vcpus(NTBPort *s);

#endif /* HW_NTB_NTB_ACK_H */
