/*
 * NTB port: who comes, goes and dies
 *
 * A client that left the server can be alive: only the byte lock says whether a
 * port has an owner, and it goes away with the last of the process's files.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/runstate.h"
#include "ntb-kick.h"
#include "ntb-level.h"
#include "ntb-peer.h"
#include "ntb-poll.h"
#include "ntb-record.h"
#include "ntb-warn.h"
#include "ntb-watch.h"
#include "trace.h"

#define CHECK_FIRST_MS      10

static void peer_died(NTBPort *s, unsigned part)
{
    NTBPeer *peer = &s->peer[part];

    trace_ntb_detach(s->part, part);
    ntb_client_forget(s->server.conn.clients, peer->client);
    ntb_peer_set_client(peer, NULL);
    if (!peer->attached) {
        return;
    }
    peer->dead = true;
    ntb_peer_clear_levels(peer);
    ntb_record(s, NTB_SHM_EV_PEER_GONE, part, 1, 0, 0);
    ntb_tell(s, NTB_EVENT_LINK_DOWN, 1u << part);
    ntb_poll(s);
}

/* False once @part needs no further look */
static bool check_alive(NTBPort *s, unsigned part)
{
    NTBPeer *peer = &s->peer[part];

    if (!ntb_shm_owner_alive(&s->shm, part)) {
        peer->check_ms = 0;
        peer_died(s, part);
    } else if (!ntb_peer_unwatched(s, peer)) {
        peer->check_ms = 0;
    } else {
        peer->check_ms = MIN(2 * peer->check_ms, NTB_PEER_CHECK_MS);
    }
    return peer->check_ms;
}

void ntb_watch_timer(void *opaque)
{
    NTBPort *s = opaque;
    unsigned again = 0;

    /* What a death brings about may even unplug this port */
    for (unsigned part = 0; part < s->nports && s->own; part++) {
        NTBPeer *peer = &s->peer[part];

        if (peer->check_ms && check_alive(s, part) &&
            (!again || peer->check_ms < again)) {
            again = peer->check_ms;
        }
    }
    if (again && s->own) {
        ntb_peer_look_again(s, again);
    }
}

/* The other side's eventfd is here: what it did before may have been missed */
void ntb_watch_client_joined(NTBPort *s, int fd)
{
    if (!ntb_client_ring(fd)) {
        ntb_warn(s, "cannot wake another port: %s", strerror(errno));
    }
    ntb_poll(s);
}

void ntb_watch_client_gone(NTBPort *s, NTBClient *client)
{
    bool known = false;

    for (unsigned part = 0; part < s->nports; part++) {
        NTBPeer *peer = &s->peer[part];

        if (peer->attached && peer->client == client) {
            known = true;
            peer->check_ms = CHECK_FIRST_MS;
            ntb_peer_look_again(s, 0);
        }
    }
    if (!known) {
        ntb_client_forget(s->server.conn.clients, client);
    }
    /* A sender that died may have announced a kick and never sent it */
    ntb_poll(s);
}

void ntb_watch_server_lost(NTBPort *s)
{
    s->flags |= NTB_SHM_F_SERVER_LOST;
    trace_ntb_server_lost(s->part);
    /* At its end QEMU closes the connection itself */
    if (!runstate_check(RUN_STATE_SHUTDOWN)) {
        ntb_warn(s, "ivshmem-server is gone; links stay up, but no port "
                 "can join until it is back");
    }
    if (!s->own) {
        return;
    }
    ntb_record(s, NTB_SHM_EV_SERVER, NTB_SHM_NOBODY, 0, 0, 0);
    ntb_level_publish(s);
    /*
     * Who has left for a new server already was rung, until now, by an id that
     * is of that server: ring all, and look whether others did so to us.
     */
    ntb_kick_ring_all(s);
    ntb_poll(s);
}
