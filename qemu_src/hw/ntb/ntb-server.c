/*
 * NTB port: the connection to ivshmem-server
 *
 * Each message is eight bytes, little endian, with at most one file descriptor
 * (docs/specs/ivshmem-spec.rst). The first connection is made while the device
 * is realized. A later one, of a chardev with reconnect-ms, is read as it comes
 * and takes the place of the old one only when it is complete; until then the
 * eventfds of the old one go on working.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "chardev/char-socket.h"
#include "hw/qdev-core.h"
#include "ntb-link.h"
#include "ntb-poll.h"
#include "ntb-record.h"
#include "ntb-server.h"
#include "ntb-warn.h"
#include "ntb-watch.h"
#include "trace.h"

#define PROTOCOL_VERSION    0
#define MAX_CLIENT_ID       65535
#define MSG_SHM             (-1)

/* What a server may take until it has sent its memory */
#define CONNECT_TIMEOUT_MS  5000

static void own_eventfd_read(void *opaque)
{
    NTBPort *s = opaque;
    const int fds[] = { s->server.conn.own_fd, s->server.last_own_fd };
    uint64_t count;

    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        if (fds[i] < 0) {
            continue;
        }
        ntb_client_set_nonblocking(fds[i]);
        if (read(fds[i], &count, sizeof(count)) == sizeof(count)) {
            trace_ntb_kick_rx(s->part);
            ntb_record(s, NTB_SHM_EV_WOKEN, NTB_SHM_NOBODY, 0, 0, 0);
        }
    }
    ntb_poll(s);
}

static void close_own_eventfd(int *fd)
{
    if (*fd >= 0) {
        qemu_set_fd_handler(*fd, NULL, NULL, NULL);
        close(*fd);
        *fd = -1;
    }
}

static void conn_init(NTBConn *conn, NTBPhase phase)
{
    *conn = (NTBConn) {
        .phase = phase, .id = -1, .own_fd = -1, .shm_fd = -1,
        .clients = ntb_client_table(),
    };
}

static void conn_release(NTBConn *conn)
{
    close_own_eventfd(&conn->own_fd);
    if (conn->shm_fd >= 0) {
        close(conn->shm_fd);
        conn->shm_fd = -1;
    }
    g_clear_pointer(&conn->clients, g_hash_table_destroy);
    conn->phase = NTB_CONN_NONE;
}

static SocketChardev *socket_of(NTBPort *s)
{
    return (SocketChardev *)object_dynamic_cast(
        OBJECT(qemu_chr_fe_get_driver(&s->server.chr)), TYPE_CHARDEV_SOCKET);
}

/* Which server this is; others may give out the same ids */
static uint32_t server_pid(NTBPort *s)
{
    SocketChardev *chr = socket_of(s);
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (!chr || !chr->sioc ||
        getsockopt(chr->sioc->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        return 0;
    }
    return peer.pid;
}

static void client_gone(NTBPort *s, NTBConn *conn, uint32_t id)
{
    NTBClient *client = ntb_client_find(conn->clients, id);

    if (client) {
        client->gone = true;
        if (s->own && conn == &s->server.conn) {
            ntb_watch_client_gone(s, client);
        }
    }
}

/*
 * The new connection is complete. The eventfd of the old one is kept, because
 * ports that do not know the new one yet go on ringing it.
 */
static void adopt(NTBPort *s)
{
    NTBServer *srv = &s->server;

    if (ntb_shm_is_same(&s->shm, srv->next.shm_fd)) {
        close(srv->next.shm_fd);
        srv->next.shm_fd = -1;
    } else {
        int shm_fd = srv->next.shm_fd;

        srv->next.shm_fd = -1;
        if (!ntb_link_change_switch(s, shm_fd)) {
            conn_release(&srv->next);
            return;
        }
    }
    close_own_eventfd(&srv->last_own_fd);
    srv->last_own_fd = srv->conn.own_fd;
    srv->conn.own_fd = -1;
    conn_release(&srv->conn);
    srv->conn = srv->next;
    srv->next = (NTBConn) { .own_fd = -1, .shm_fd = -1 };
    srv->lost = false;
    qemu_set_fd_handler(srv->conn.own_fd, own_eventfd_read, NULL, s);
    ntb_link_rejoined(s);
}

static void own_vector(NTBPort *s, NTBConn *conn, int fd)
{
    if (conn->own_fd >= 0) {
        close(fd);              /* a vector other than 0 */
        return;
    }
    ntb_client_set_nonblocking(fd);
    conn->own_fd = fd;
    if (conn == &s->server.conn) {
        qemu_set_fd_handler(fd, own_eventfd_read, NULL, s);
        ntb_link_try_attach(s);
    }
}

static void refuse(NTBPort *s, NTBConn *conn, int64_t msg)
{
    ntb_warn(s, "ivshmem-server sent an unexpected message %" PRId64, msg);
    if (conn == &s->server.next) {
        conn_release(conn);     /* and ignore the rest */
    }
}

/* Takes @fd */
static void handle_client(NTBPort *s, NTBConn *conn, int64_t msg, int fd)
{
    if (msg < 0 || msg > MAX_CLIENT_ID ||
        (fd >= 0 && !ntb_client_is_eventfd(fd))) {
        if (fd >= 0) {
            close(fd);
        }
        refuse(s, conn, msg);
    } else if (fd < 0) {
        client_gone(s, conn, msg);
    } else if (msg == conn->id) {
        own_vector(s, conn, fd);
    } else if (ntb_client_add(conn->clients, msg, fd) && s->own &&
               conn == &s->server.conn) {
        ntb_watch_client_joined(s, fd);
    }
}

/* Takes @fd */
static void handle_message(NTBPort *s, NTBConn *conn, int64_t msg,
                           int fd)
{
    switch (conn->phase) {
    case NTB_CONN_VERSION:
        if (msg == PROTOCOL_VERSION && fd < 0) {
            conn->phase = NTB_CONN_ID;
            return;
        }
        break;
    case NTB_CONN_ID:
        if (msg >= 0 && msg <= MAX_CLIENT_ID && fd < 0) {
            conn->id = msg;
            conn->phase = NTB_CONN_SHM;
            return;
        }
        break;
    case NTB_CONN_SHM:
        if (msg == MSG_SHM && fd >= 0) {
            conn->shm_fd = fd;
            conn->phase = NTB_CONN_CLIENTS;
            return;
        }
        /* Servers other than QEMU's may send eventfds first */
        handle_client(s, conn, msg, fd);
        return;
    case NTB_CONN_CLIENTS:
        handle_client(s, conn, msg, fd);
        return;
    default:
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
    refuse(s, conn, msg);
}

/* The chardev's own reads block: wait for data where there is an end to it */
static bool wait_readable(NTBPort *s, int64_t deadline)
{
    SocketChardev *chr = socket_of(s);

    for (;;) {
        int64_t left = deadline - qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
        GPollFD poll = { .events = G_IO_IN | G_IO_HUP | G_IO_ERR };
        int ret;

        if (left <= 0) {
            return false;
        }
        if (!chr->sioc) {
            return true;        /* closed, as the read will tell */
        }
        poll.fd = chr->sioc->fd;
        ret = g_poll(&poll, 1, left);
        if (ret > 0) {
            return true;
        }
        if (ret < 0 && errno != EINTR) {
            return false;
        }
    }
}

static bool receive_sync(NTBPort *s, int64_t deadline, int64_t *msg,
                         int *fd, Error **errp)
{
    uint64_t raw;

    for (unsigned have = 0; have < sizeof(raw);) {
        int ret;

        if (!wait_readable(s, deadline)) {
            error_setg(errp, "ivshmem-server did not send the shared memory "
                       "within %d s", CONNECT_TIMEOUT_MS / 1000);
            return false;
        }
        ret = qemu_chr_fe_read_all(&s->server.chr, (uint8_t *)&raw + have, 1);
        if (ret == 0 || (ret < 0 && errno != EINTR)) {
            error_setg(errp, "ivshmem-server closed the connection before it "
                       "sent the shared memory");
            return false;
        }
        have += MAX(ret, 0);
    }
    *msg = (int64_t)le64_to_cpu(raw);
    *fd = qemu_chr_fe_get_msgfd(&s->server.chr);
    return true;
}

static bool receive_number(NTBPort *s, int64_t deadline, int64_t *msg,
                           const char *what, Error **errp)
{
    int fd;

    if (!receive_sync(s, deadline, msg, &fd, errp)) {
        return false;
    }
    if (fd >= 0) {
        close(fd);
        error_setg(errp, "ivshmem-server sent a file instead of its %s", what);
        return false;
    }
    return true;
}

static bool open_connection(NTBPort *s, Error **errp)
{
    SocketChardev *chr = socket_of(s);

    if (!chr) {
        error_setg(errp, "chardev= is missing: it must name a socket chardev "
                   "connected to ivshmem-server");
        return false;
    }
    /* With reconnect-ms the next call has no end, and this guest runs */
    if (DEVICE(s->owner)->hotplugged &&
        chr->state != TCP_CHARDEV_STATE_CONNECTED) {
        error_setg(errp, "ivshmem-server is not connected yet");
        return false;
    }
    return qemu_chr_fe_wait_connected(&s->server.chr, errp) >= 0;
}

bool ntb_server_connect(NTBPort *s, int *shm_fd, Error **errp)
{
    NTBConn *conn = &s->server.conn;
    int64_t msg, deadline;
    int fd;

    s->server.last_own_fd = -1;
    s->server.next = (NTBConn) { .own_fd = -1, .shm_fd = -1 };
    conn_init(conn, NTB_CONN_CLIENTS);
    if (!open_connection(s, errp)) {
        return false;
    }
    deadline = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + CONNECT_TIMEOUT_MS;
    if (!receive_number(s, deadline, &msg, "protocol version", errp)) {
        return false;
    }
    if (msg != PROTOCOL_VERSION) {
        error_setg(errp, "ivshmem-server speaks protocol version %" PRId64
                   ", this device speaks %d", msg, PROTOCOL_VERSION);
        return false;
    }
    if (!receive_number(s, deadline, &conn->id, "client id", errp)) {
        return false;
    }
    if (conn->id < 0 || conn->id > MAX_CLIENT_ID) {
        error_setg(errp, "ivshmem-server sent a bad client id");
        return false;
    }
    conn->pid = server_pid(s);
    for (;;) {
        if (!receive_sync(s, deadline, &msg, &fd, errp)) {
            return false;
        }
        if (msg == MSG_SHM && fd >= 0) {
            *shm_fd = fd;
            return true;
        }
        handle_message(s, conn, msg, fd);
    }
}

/* Never more than the rest of a message: its file comes with its last read */
static int can_receive(void *opaque)
{
    NTBPort *s = opaque;

    return sizeof(s->server.buf) - s->server.have;
}

static void receive(void *opaque, const uint8_t *buf, int size)
{
    NTBPort *s = opaque;
    NTBServer *srv = &s->server;
    NTBConn *conn = srv->lost ? &srv->next : &srv->conn;

    if (size <= 0 || size > can_receive(s)) {
        return;
    }
    memcpy(srv->buf + srv->have, buf, size);
    srv->have += size;
    if (srv->have < sizeof(srv->buf)) {
        return;
    }
    srv->have = 0;
    handle_message(s, conn, ldq_le_p(srv->buf),
                   qemu_chr_fe_get_msgfd(&srv->chr));
    if (srv->next.phase == NTB_CONN_CLIENTS && srv->next.own_fd >= 0) {
        adopt(s);
    }
}

/* Eventfds and locks work without the server; only newcomers need it */
static void event(void *opaque, QEMUChrEvent event)
{
    NTBPort *s = opaque;
    NTBServer *srv = &s->server;

    if (event == CHR_EVENT_CLOSED) {
        srv->have = 0;
        conn_release(&srv->next);
        if (!srv->lost) {
            srv->lost = true;
            ntb_watch_server_lost(s);
        }
    } else if (event == CHR_EVENT_OPENED && srv->lost) {
        srv->have = 0;
        conn_release(&srv->next);
        conn_init(&srv->next, NTB_CONN_VERSION);
        srv->next.pid = server_pid(s);
    }
}

void ntb_server_start(NTBPort *s)
{
    qemu_chr_fe_set_handlers(&s->server.chr, can_receive, receive, event, NULL,
                             s, NULL, true);
}

void ntb_server_stop(NTBPort *s)
{
    NTBServer *srv = &s->server;

    if (!srv->conn.clients) {
        return;
    }
    qemu_chr_fe_set_handlers(&srv->chr, NULL, NULL, NULL, NULL, NULL, NULL,
                             false);
    close_own_eventfd(&srv->last_own_fd);
    conn_release(&srv->next);
    conn_release(&srv->conn);
}
