/*
 * NTB port: the other ports as this one sees them
 *
 * A block in the shared page can be stale, and a client that left the server
 * can be alive: only the byte lock says whether a port has an owner.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-peer.h"
#include "ntb-ram.h"
#include "ntb-record.h"
#include "trace.h"

bool ntb_peer_admits(const NTBPort *s, unsigned part)
{
    const NTBPeer *peer = &s->peer[part];

    return peer->attached && peer->linkup && peer->admits;
}

/* Its kick may be on its way still */
bool ntb_peer_attached_now(const NTBPort *s, unsigned part)
{
    return qatomic_load_acquire(&ntb_block(s, part)->state) ==
           NTB_SHM_ATTACHED;
}

bool ntb_peer_lives_now(const NTBPort *s, unsigned part)
{
    const NTBPeer *peer = &s->peer[part];

    return ntb_peer_attached_now(s, part) &&
           !(peer->dead && peer->incarnation ==
             ntb_shm_get64(&ntb_block(s, part)->incarnation));
}

uint32_t ntb_peer_doorbells(const NTBPort *s, unsigned part)
{
    return s->peer[part].attached ?
           qatomic_read(&ntb_block(s, part)->indbellsts) : 0;
}

static bool out_of_touch(const NTBPort *s, uint32_t flags)
{
    return s->server.lost || (flags & NTB_SHM_F_SERVER_LOST);
}

/*
 * Ids are those of one server. A port that knows another one than we do, or
 * none, still answers the eventfd by which we have known it.
 */
static NTBClient *peer_client(const NTBPort *s, unsigned part,
                              uint32_t flags, uint32_t server, uint32_t id)
{
    const NTBPeer *peer = &s->peer[part];
    NTBClient *client = NULL;

    if (!out_of_touch(s, flags) &&
        (server == s->server.conn.pid || !peer->client)) {
        client = ntb_client_find(s->server.conn.clients, id);
    }
    return client ? client : peer->client;
}

static NTBClient *peer_client_now(const NTBPort *s, unsigned part,
                                  uint32_t flags)
{
    const NTBShmPort *block = ntb_block(s, part);

    return peer_client(s, part, flags, qatomic_read(&block->server_pid),
                       qatomic_read(&block->ivshmem_id));
}

static uint32_t peer_flags_now(const NTBPort *s, unsigned part)
{
    return qatomic_load_acquire(&ntb_block(s, part)->flags);
}

int ntb_peer_eventfd(const NTBPort *s, unsigned part)
{
    NTBClient *client = peer_client_now(s, part, peer_flags_now(s, part));

    return client ? client->fd : -1;
}

bool ntb_peer_hidden_now(const NTBPort *s, unsigned part)
{
    uint32_t flags = peer_flags_now(s, part);

    return out_of_touch(s, flags) && !peer_client_now(s, part, flags);
}

void ntb_peer_set_client(NTBPeer *peer, NTBClient *client)
{
    NTBClient *old = peer->client;

    peer->client = ntb_client_ref(client);
    ntb_client_unref(old);
}

/* A look at another port's block; all it says is bounded here */
static NTBPeer peer_snapshot(NTBPort *s, unsigned part)
{
    const NTBShmPort *block = ntb_block(s, part);
    NTBPeer now = s->peer[part];

    now.attached = ntb_peer_attached_now(s, part);
    now.incarnation = ntb_shm_get64(&block->incarnation);
    /* First the epoch: levels are then at least as new as it is */
    now.down_epoch = qatomic_load_acquire(&block->down_epoch);
    now.linkup = qatomic_load_acquire(&block->linkup) & 1;
    now.admits = qatomic_read(&block->admits) & 1;
    s->ops->take_levels(s, part);
    now.flags = qatomic_load_acquire(&block->flags);
    now.server_pid = qatomic_read(&block->server_pid);
    now.ivshmem_id = qatomic_read(&block->ivshmem_id);
    return now;
}

void ntb_peer_clear_levels(NTBPeer *peer)
{
    peer->attached = peer->linkup = peer->admits = false;
}

bool ntb_peer_unwatched(const NTBPort *s, const NTBPeer *peer)
{
    return peer->attached && (out_of_touch(s, peer->flags) || !peer->client ||
                              peer->client->gone);
}

void ntb_peer_look_again(NTBPort *s, unsigned ms)
{
    int64_t when = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms;

    if (!timer_pending(s->live_timer) ||
        (int64_t)timer_expire_time_ns(s->live_timer) > when * SCALE_MS) {
        timer_mod(s->live_timer, when);
    }
}

/* A port that no cable or eventfd joins with us is down, whatever it says */
static void judge_reach(NTBPort *s, NTBPeer *peer)
{
    bool was_hidden = peer->hidden;

    peer->hidden = peer->attached &&
                   (s->unplugged ||
                    (out_of_touch(s, peer->flags) && !peer->client));
    if (peer->hidden) {
        peer->linkup = false;
    } else if (was_hidden && peer->linkup) {
        ntb_tell(s, NTB_EVENT_LINK_UP, 1u << (peer - s->peer));
    }
    if (ntb_peer_unwatched(s, peer) && !peer->check_ms) {
        peer->check_ms = NTB_PEER_CHECK_MS;
        ntb_peer_look_again(s, NTB_PEER_CHECK_MS);
    }
}

/* What has changed of @part since it was @before */
static void record_changes(NTBPort *s, unsigned part, const NTBPeer *before)
{
    const NTBPeer *peer = &s->peer[part];

    if (peer->attached && (!before->attached ||
                           peer->incarnation != before->incarnation)) {
        ntb_record(s, NTB_SHM_EV_PEER_THERE, part, 0, peer->incarnation, 0);
    } else if (before->attached && !peer->attached) {
        ntb_record(s, NTB_SHM_EV_PEER_GONE, part, peer->dead, 0, 0);
    }
    if (before->linkup != peer->linkup) {
        ntb_record(s, NTB_SHM_EV_PEER_LINK, part, peer->linkup, 0, 0);
    }
    if (before->admits != peer->admits) {
        ntb_record(s, NTB_SHM_EV_PEER_ADMITS, part, peer->admits, 0, 0);
    }
}

void ntb_peer_refresh(NTBPort *s, unsigned part)
{
    NTBPeer *peer = &s->peer[part];
    NTBPeer now = peer_snapshot(s, part);
    const NTBPeer before = *peer;
    bool fresh = now.incarnation != peer->incarnation ||
                 (now.attached && !peer->attached && !peer->dead);

    if (peer->attached && now.incarnation != peer->incarnation) {
        /* Its owner died, and the next was quicker than the news */
        if (peer->client && peer->client->gone) {
            ntb_client_forget(s->server.conn.clients, peer->client);
        }
        ntb_tell(s, NTB_EVENT_LINK_DOWN, 1u << part);
    }
    if (fresh) {
        ntb_peer_set_client(peer, NULL);
    }
    if (now.attached && fresh) {
        /* A block may have outlived its owner */
        now.dead = !ntb_shm_owner_alive(&s->shm, part);
        now.check_ms = 0;
    }
    if (!now.attached || now.dead) {
        ntb_peer_clear_levels(&now);
    }
    now.client = peer->client;
    *peer = now;
    if (peer->attached) {
        ntb_peer_set_client(peer, peer_client(s, part, now.flags,
                                              now.server_pid, now.ivshmem_id));
    }
    judge_reach(s, peer);
    if (peer->attached && fresh) {
        trace_ntb_attach(s->part, part, peer->incarnation);
        ntb_ram_new_incarnation(s, part);
    }
    if (peer->attached) {
        ntb_ram_refresh(s, part);
    } else {
        ntb_ram_drop(s, part);
    }
    if (before.linkup != peer->linkup) {
        trace_ntb_peer_state(s->part, part, peer->linkup, peer->admits);
    }
    record_changes(s, part, &before);
}

/* Leave no trace of the other ports, as before the first look at them */
void ntb_peer_forget_all(NTBPort *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        NTBPeer *peer = &s->peer[part];

        if (part == s->part) {
            continue;
        }
        if (peer->linkup) {
            ntb_tell(s, NTB_EVENT_LINK_DOWN, 1u << part);
        }
        ntb_ram_drop(s, part);
        ntb_peer_set_client(peer, NULL);
        /* Who is up already when we look again does not tell us once more */
        *peer = (NTBPeer) { .hidden = true };
    }
}
