/*
 * IDT NTB port: ivshmem-server's client protocol
 *
 * Each message is eight bytes, little endian, with at most one file descriptor
 * (docs/specs/ivshmem-spec.rst). Only vector 0 of a client is used; the server
 * may announce any number.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "idt-ntb-int.h"
#include "trace.h"

#define PROTOCOL_VERSION    0
#define MAX_CLIENT_ID       65535
#define MSG_SHM             (-1)

typedef struct IDTNTBClient {
    int fd;         /* eventfd of vector 0 */
    bool gone;      /* the server said so; kept until its port is known dead */
} IDTNTBClient;

static void client_free(gpointer data)
{
    IDTNTBClient *client = data;

    close(client->fd);
    g_free(client);
}

/*
 * All clients share the description of an eventfd, and a chardev that receives
 * one makes it blocking. A reader that left it full must not hang its peers.
 */
static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

bool idt_ntb_server_ring(int fd)
{
    uint64_t one = 1;

    set_nonblocking(fd);
    return RETRY_ON_EINTR(write(fd, &one, sizeof(one))) == sizeof(one);
}

static void own_eventfd_read(void *opaque)
{
    IDTNTBState *s = opaque;
    uint64_t count;

    set_nonblocking(s->server.own_fd);
    if (read(s->server.own_fd, &count, sizeof(count)) == sizeof(count)) {
        trace_idt_ntb_kick_rx(s->part);
    }
    idt_ntb_link_poll(s);
}

static void own_vector(IDTNTBState *s, int fd)
{
    if (s->server.own_fd >= 0) {
        close(fd);              /* a vector other than 0 */
        return;
    }
    s->server.own_fd = fd;
    qemu_set_fd_handler(fd, own_eventfd_read, NULL, s);
    idt_ntb_link_try_attach(s);
}

static void client_vector(IDTNTBState *s, uint32_t id, int fd)
{
    gpointer key = GUINT_TO_POINTER(id);
    IDTNTBClient *client = g_hash_table_lookup(s->server.clients, key);

    if (client && !client->gone) {
        close(fd);              /* a vector other than 0 */
        return;
    }
    client = g_new0(IDTNTBClient, 1);
    client->fd = fd;
    g_hash_table_insert(s->server.clients, key, client);
    if (s->own) {
        idt_ntb_peer_client_joined(s, fd);
    }
}

static void client_gone(IDTNTBState *s, uint32_t id)
{
    IDTNTBClient *client = g_hash_table_lookup(s->server.clients,
                                               GUINT_TO_POINTER(id));

    if (client) {
        client->gone = true;
        if (s->own) {
            idt_ntb_peer_client_gone(s, id);
        }
    }
}

static void handle_message(IDTNTBState *s, int64_t msg, int fd)
{
    if (msg < 0 || msg > MAX_CLIENT_ID) {
        idt_ntb_warn(s, "ivshmem-server sent an unexpected message %" PRId64,
                     msg);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (fd < 0) {
        client_gone(s, msg);
        return;
    }
    set_nonblocking(fd);
    if (msg == s->server.own_id) {
        own_vector(s, fd);
    } else {
        client_vector(s, msg, fd);
    }
}

static bool receive_sync(IDTNTBState *s, int64_t *msg, int *fd, Error **errp)
{
    uint64_t raw;
    unsigned have = 0;

    while (have < sizeof(raw)) {
        int ret = qemu_chr_fe_read_all(&s->server.chr, (uint8_t *)&raw + have,
                                       sizeof(raw) - have);

        if (ret == -EINTR) {
            continue;
        }
        if (ret <= 0) {
            error_setg(errp, "ivshmem-server closed the connection before it "
                       "sent the shared memory");
            return false;
        }
        have += ret;
    }
    *msg = (int64_t)le64_to_cpu(raw);
    *fd = qemu_chr_fe_get_msgfd(&s->server.chr);
    return true;
}

static bool receive_number(IDTNTBState *s, int64_t *msg, const char *what,
                           Error **errp)
{
    int fd;

    if (!receive_sync(s, msg, &fd, errp)) {
        return false;
    }
    if (fd >= 0) {
        close(fd);
        error_setg(errp, "ivshmem-server sent a file instead of its %s", what);
        return false;
    }
    return true;
}

bool idt_ntb_server_connect(IDTNTBState *s, int *shm_fd, Error **errp)
{
    int64_t msg;
    int fd;

    s->server.own_fd = -1;
    s->server.clients = g_hash_table_new_full(NULL, NULL, NULL, client_free);

    if (!qemu_chr_fe_backend_connected(&s->server.chr)) {
        error_setg(errp, "chardev= is missing: it must name a socket chardev "
                   "connected to ivshmem-server");
        return false;
    }
    /* With reconnect-ms the socket may still be on its way */
    if (qemu_chr_fe_wait_connected(&s->server.chr, errp) < 0 ||
        !receive_number(s, &msg, "protocol version", errp)) {
        return false;
    }
    if (msg != PROTOCOL_VERSION) {
        error_setg(errp, "ivshmem-server speaks protocol version %" PRId64
                   ", this device speaks %d", msg, PROTOCOL_VERSION);
        return false;
    }
    if (!receive_number(s, &s->server.own_id, "client id", errp)) {
        return false;
    }
    if (s->server.own_id < 0 || s->server.own_id > MAX_CLIENT_ID) {
        error_setg(errp, "ivshmem-server sent a bad client id");
        return false;
    }
    /* Servers other than QEMU's may send eventfds first */
    for (;;) {
        if (!receive_sync(s, &msg, &fd, errp)) {
            return false;
        }
        if (msg == MSG_SHM && fd >= 0) {
            *shm_fd = fd;
            return true;
        }
        handle_message(s, msg, fd);
    }
}

/* Never more than the rest of a message: its file comes with its last read */
static int can_receive(void *opaque)
{
    IDTNTBState *s = opaque;

    return sizeof(s->server.buf) - s->server.have;
}

static void receive(void *opaque, const uint8_t *buf, int size)
{
    IDTNTBState *s = opaque;
    IDTNTBServer *srv = &s->server;
    int fd;

    if (size <= 0 || size > can_receive(s)) {
        return;
    }
    memcpy(srv->buf + srv->have, buf, size);
    srv->have += size;
    if (srv->have < sizeof(srv->buf)) {
        return;
    }
    srv->have = 0;
    fd = qemu_chr_fe_get_msgfd(&srv->chr);
    if (!srv->lost) {
        handle_message(s, ldq_le_p(srv->buf), fd);
    } else if (fd >= 0) {
        /* Another server has another page and other ids: not ours */
        close(fd);
    }
}

/* Eventfds and locks work without the server; only newcomers need it */
static void event(void *opaque, QEMUChrEvent event)
{
    IDTNTBState *s = opaque;

    if (event == CHR_EVENT_CLOSED && !s->server.lost) {
        s->server.lost = true;
        idt_ntb_peer_server_lost(s);
    }
}

void idt_ntb_server_start(IDTNTBState *s)
{
    qemu_chr_fe_set_handlers(&s->server.chr, can_receive, receive, event, NULL,
                             s, NULL, true);
}

void idt_ntb_server_stop(IDTNTBState *s)
{
    IDTNTBServer *srv = &s->server;

    if (!srv->clients) {
        return;
    }
    qemu_chr_fe_set_handlers(&srv->chr, NULL, NULL, NULL, NULL, NULL, NULL,
                             false);
    if (srv->own_fd >= 0) {
        qemu_set_fd_handler(srv->own_fd, NULL, NULL, NULL);
        close(srv->own_fd);
        srv->own_fd = -1;
    }
    g_hash_table_destroy(srv->clients);
    srv->clients = NULL;
}

int idt_ntb_server_eventfd(const IDTNTBState *s, uint32_t id)
{
    IDTNTBClient *client = g_hash_table_lookup(s->server.clients,
                                               GUINT_TO_POINTER(id));

    return client ? client->fd : IDT_NTB_NO_EVENTFD;
}

void idt_ntb_server_forget(IDTNTBState *s, uint32_t id)
{
    g_hash_table_remove(s->server.clients, GUINT_TO_POINTER(id));
}

void idt_ntb_server_forget_gone(IDTNTBState *s, uint32_t id)
{
    IDTNTBClient *client = g_hash_table_lookup(s->server.clients,
                                               GUINT_TO_POINTER(id));

    if (client && client->gone) {
        idt_ntb_server_forget(s, id);
    }
}
