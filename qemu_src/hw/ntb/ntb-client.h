/*
 * NTB port: the clients of ivshmem-server and their eventfds
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_CLIENT_H
#define HW_NTB_NTB_CLIENT_H

#include <glib.h>

/* A client of ivshmem-server; held by a connection and by the peer it is */
typedef struct NTBClient {
    int fd;                     /* eventfd of vector 0 */
    bool gone;                  /* the server said so; its port may be alive */
} NTBClient;

GHashTable *ntb_client_table(void);
bool ntb_client_add(GHashTable *clients, uint32_t id, int fd);
NTBClient *ntb_client_find(GHashTable *clients, uint32_t id);
void ntb_client_forget(GHashTable *clients, NTBClient *client);
NTBClient *ntb_client_ref(NTBClient *client);
void ntb_client_unref(NTBClient *client);
void ntb_client_set_nonblocking(int fd);
bool ntb_client_is_eventfd(int fd);
/* Wake the reader of @fd; never blocks */
bool ntb_client_ring(int fd);
/* Wake all clients, ports or not, attached or not */
void ntb_client_ring_all(GHashTable *clients);

#endif /* HW_NTB_NTB_CLIENT_H */
