/*
 * NTB port: who comes, goes and dies
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_WATCH_H
#define HW_NTB_NTB_WATCH_H

#include "ntb-port.h"

void ntb_watch_timer(void *opaque);
void ntb_watch_client_joined(NTBPort *s, int fd);
void ntb_watch_client_gone(NTBPort *s, NTBClient *client);
void ntb_watch_server_lost(NTBPort *s);

#endif /* HW_NTB_NTB_WATCH_H */
