/*
 * NTB port: the connection to ivshmem-server
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_SERVER_H
#define HW_NTB_NTB_SERVER_H

#include "ntb-port.h"

bool ntb_server_connect(NTBPort *s, int *shm_fd, Error **errp);
void ntb_server_start(NTBPort *s);
void ntb_server_stop(NTBPort *s);

#endif /* HW_NTB_NTB_SERVER_H */
