/*
 * NTB port: the clients of ivshmem-server and their eventfds
 *
 * Only vector 0 of a client is used; the server may announce any number.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-client.h"

/* A server that invents clients must not use up our file descriptors */
#define MAX_CLIENTS 256

static void client_close(gpointer data)
{
    NTBClient *client = data;

    close(client->fd);
}

void ntb_client_unref(NTBClient *client)
{
    if (client) {
        g_rc_box_release_full(client, client_close);
    }
}

NTBClient *ntb_client_ref(NTBClient *client)
{
    return client ? g_rc_box_acquire(client) : NULL;
}

static void client_destroy(gpointer data)
{
    ntb_client_unref(data);
}

GHashTable *ntb_client_table(void)
{
    return g_hash_table_new_full(NULL, NULL, NULL, client_destroy);
}

/* Anything else could be readable for ever, or take what is written to it */
bool ntb_client_is_eventfd(int fd)
{
    static const char wanted[] = "anon_inode:[eventfd]";
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    char target[sizeof(wanted)];
    ssize_t len = readlink(path, target, sizeof(target));

    return len == strlen(wanted) && !memcmp(target, wanted, len);
}

/*
 * All clients share the description of an eventfd, and a chardev that receives
 * one makes it blocking. A reader that left it full must not hang its peers.
 */
void ntb_client_set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

bool ntb_client_ring(int fd)
{
    uint64_t one = 1;

    ntb_client_set_nonblocking(fd);
    return RETRY_ON_EINTR(write(fd, &one, sizeof(one))) == sizeof(one);
}

/* Takes @fd; true if it is the first vector of a client that is new */
bool ntb_client_add(GHashTable *clients, uint32_t id, int fd)
{
    gpointer key = GUINT_TO_POINTER(id);
    NTBClient *client = g_hash_table_lookup(clients, key);

    if ((client && !client->gone) ||
        (!client && g_hash_table_size(clients) >= MAX_CLIENTS)) {
        close(fd);              /* a vector other than 0, or one too many */
        return false;
    }
    ntb_client_set_nonblocking(fd);
    client = g_rc_box_new0(NTBClient);
    client->fd = fd;
    g_hash_table_insert(clients, key, client);
    return true;
}

NTBClient *ntb_client_find(GHashTable *clients, uint32_t id)
{
    return clients ? g_hash_table_lookup(clients, GUINT_TO_POINTER(id)) : NULL;
}

static gboolean is_client(gpointer key, gpointer value, gpointer client)
{
    return value == client;
}

void ntb_client_forget(GHashTable *clients, NTBClient *client)
{
    if (clients && client) {
        g_hash_table_foreach_remove(clients, is_client, client);
    }
}

static void ring_client(gpointer key, gpointer value, gpointer opaque)
{
    NTBClient *client = value;

    ntb_client_ring(client->fd);
}

void ntb_client_ring_all(GHashTable *clients)
{
    g_hash_table_foreach(clients, ring_client, NULL);
}
