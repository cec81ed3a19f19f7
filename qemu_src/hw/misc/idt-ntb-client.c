/*
 * IDT NTB port: the clients of ivshmem-server and their eventfds
 *
 * Only vector 0 of a client is used; the server may announce any number.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "idt-ntb-int.h"

/* A server that invents clients must not use up our file descriptors */
#define MAX_CLIENTS 256

static void client_close(gpointer data)
{
    IDTNTBClient *client = data;

    close(client->fd);
}

void idt_ntb_client_unref(IDTNTBClient *client)
{
    if (client) {
        g_rc_box_release_full(client, client_close);
    }
}

IDTNTBClient *idt_ntb_client_ref(IDTNTBClient *client)
{
    return client ? g_rc_box_acquire(client) : NULL;
}

static void client_destroy(gpointer data)
{
    idt_ntb_client_unref(data);
}

GHashTable *idt_ntb_client_table(void)
{
    return g_hash_table_new_full(NULL, NULL, NULL, client_destroy);
}

/* Anything else could be readable for ever, or take what is written to it */
bool idt_ntb_client_is_eventfd(int fd)
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
void idt_ntb_client_set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

bool idt_ntb_client_ring(int fd)
{
    uint64_t one = 1;

    idt_ntb_client_set_nonblocking(fd);
    return RETRY_ON_EINTR(write(fd, &one, sizeof(one))) == sizeof(one);
}

/* Takes @fd; true if it is the first vector of a client that is new */
bool idt_ntb_client_add(GHashTable *clients, uint32_t id, int fd)
{
    gpointer key = GUINT_TO_POINTER(id);
    IDTNTBClient *client = g_hash_table_lookup(clients, key);

    if ((client && !client->gone) ||
        (!client && g_hash_table_size(clients) >= MAX_CLIENTS)) {
        close(fd);              /* a vector other than 0, or one too many */
        return false;
    }
    idt_ntb_client_set_nonblocking(fd);
    client = g_rc_box_new0(IDTNTBClient);
    client->fd = fd;
    g_hash_table_insert(clients, key, client);
    return true;
}

IDTNTBClient *idt_ntb_client_find(GHashTable *clients, uint32_t id)
{
    return clients ? g_hash_table_lookup(clients, GUINT_TO_POINTER(id)) : NULL;
}

static gboolean is_client(gpointer key, gpointer value, gpointer client)
{
    return value == client;
}

void idt_ntb_client_forget(GHashTable *clients, IDTNTBClient *client)
{
    if (clients && client) {
        g_hash_table_foreach_remove(clients, is_client, client);
    }
}
