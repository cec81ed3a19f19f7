/*
 * IDT NTB port: the other ports as this one sees them
 *
 * A block in the shared page can be stale, and a client that left the server
 * can be alive: only the byte lock says whether a port has an owner.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/runstate.h"
#include "idt-ntb-int.h"
#include "trace.h"

/* After a client has left, its locks go away with the last of its files */
#define CHECK_FIRST_MS      10
#define CHECK_LAST_MS       1000

bool idt_ntb_peer_admits(const IDTNTBState *s, unsigned part)
{
    const IDTNTBPeer *peer = &s->peer[part];

    return peer->attached && peer->linkup && peer->admits;
}

/* Its kick may be on its way still */
bool idt_ntb_peer_attached_now(const IDTNTBState *s, unsigned part)
{
    return qatomic_load_acquire(&idt_ntb_peer_block(s, part)->state) ==
           NTB_SHM_ATTACHED;
}

uint32_t idt_ntb_peer_doorbells(const IDTNTBState *s, unsigned part)
{
    return s->peer[part].attached ?
           qatomic_read(&idt_ntb_peer_block(s, part)->indbellsts) : 0;
}

static bool out_of_touch(const IDTNTBState *s, uint32_t flags)
{
    return s->server.lost || (flags & NTB_SHM_F_SERVER_LOST);
}

/*
 * Ids are those of one server. A port that knows another one than we do, or
 * none, still answers the eventfd by which we have known it.
 */
static IDTNTBClient *peer_client(const IDTNTBState *s, unsigned part,
                                 uint32_t flags, uint32_t server, uint32_t id)
{
    const IDTNTBPeer *peer = &s->peer[part];
    IDTNTBClient *client = NULL;

    if (!out_of_touch(s, flags) &&
        (server == s->server.conn.pid || !peer->client)) {
        client = idt_ntb_client_find(s->server.conn.clients, id);
    }
    return client ? client : peer->client;
}

static IDTNTBClient *peer_client_now(const IDTNTBState *s, unsigned part,
                                     uint32_t flags)
{
    const IDTNTBShmPort *block = idt_ntb_peer_block(s, part);

    return peer_client(s, part, flags, qatomic_read(&block->server_pid),
                       qatomic_read(&block->ivshmem_id));
}

static uint32_t peer_flags_now(const IDTNTBState *s, unsigned part)
{
    return qatomic_load_acquire(&idt_ntb_peer_block(s, part)->flags);
}

int idt_ntb_peer_eventfd(const IDTNTBState *s, unsigned part)
{
    IDTNTBClient *client = peer_client_now(s, part, peer_flags_now(s, part));

    return client ? client->fd : -1;
}

bool idt_ntb_peer_hidden_now(const IDTNTBState *s, unsigned part)
{
    uint32_t flags = peer_flags_now(s, part);

    return out_of_touch(s, flags) && !peer_client_now(s, part, flags);
}

static void set_client(IDTNTBPeer *peer, IDTNTBClient *client)
{
    IDTNTBClient *old = peer->client;

    peer->client = idt_ntb_client_ref(client);
    idt_ntb_client_unref(old);
}

/* A look at another port's block; all it says is bounded here */
static IDTNTBPeer peer_snapshot(const IDTNTBState *s, unsigned part)
{
    IDTNTBShmPort *block = idt_ntb_peer_block(s, part);
    const IDTNTBShmArea *area = idt_ntb_shm_area(block);
    IDTNTBPeer now = s->peer[part];

    now.attached = idt_ntb_peer_attached_now(s, part);
    now.incarnation = idt_ntb_shm_get64(&block->incarnation);
    /* First the epoch: levels are then at least as new as it is */
    now.down_epoch = qatomic_load_acquire(&block->down_epoch);
    now.linkup = qatomic_load_acquire(&block->linkup) & 1;
    now.admits = qatomic_read(&block->admits) & 1;
    now.pcicmd = qatomic_read(&block->pcicmd) & 0xffff;
    now.ntctl = qatomic_read(&area->ntctl) & NTCTL_MASK;
    now.mtbl = qatomic_read(&area->mtbl) & NTMTBLDATA_MASK;
    now.pcielctlsts = qatomic_read(&area->pcielctlsts);
    now.flags = qatomic_load_acquire(&block->flags);
    now.server_pid = qatomic_read(&block->server_pid);
    now.ivshmem_id = qatomic_read(&block->ivshmem_id);
    return now;
}

static void peer_clear_levels(IDTNTBPeer *peer)
{
    peer->attached = peer->linkup = peer->admits = false;
    peer->pcicmd = peer->ntctl = peer->mtbl = peer->pcielctlsts = 0;
}

/* Nobody would tell us if it died */
static bool unwatched(const IDTNTBState *s, const IDTNTBPeer *peer)
{
    return peer->attached && (out_of_touch(s, peer->flags) || !peer->client ||
                              peer->client->gone);
}

static void arm_live_timer(IDTNTBState *s, unsigned ms)
{
    int64_t when = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms;

    if (!timer_pending(s->live_timer) ||
        (int64_t)timer_expire_time_ns(s->live_timer) > when * SCALE_MS) {
        timer_mod(s->live_timer, when);
    }
}

/* A port that no eventfd joins with us counts as down, whatever it says */
static void judge_reach(IDTNTBState *s, IDTNTBPeer *peer)
{
    bool was_hidden = peer->hidden;

    peer->hidden = peer->attached && out_of_touch(s, peer->flags) &&
                   !peer->client;
    if (peer->hidden) {
        peer->linkup = false;
    } else if (was_hidden && peer->linkup) {
        idt_ntb_event_peer_appeared(s, peer - s->peer);
    }
    if (unwatched(s, peer) && !peer->check_ms) {
        peer->check_ms = CHECK_LAST_MS;
        arm_live_timer(s, CHECK_LAST_MS);
    }
}

void idt_ntb_peer_refresh(IDTNTBState *s, unsigned part)
{
    IDTNTBPeer *peer = &s->peer[part];
    IDTNTBPeer now = peer_snapshot(s, part);
    bool was_up = peer->linkup;
    bool fresh = now.incarnation != peer->incarnation ||
                 (now.attached && !peer->attached && !peer->dead);

    if (peer->attached && now.incarnation != peer->incarnation) {
        /* Its owner died, and the next was quicker than the news */
        if (peer->client && peer->client->gone) {
            idt_ntb_client_forget(s->server.conn.clients, peer->client);
        }
        idt_ntb_event_peer_died(s, part);
    }
    if (fresh) {
        set_client(peer, NULL);
    }
    if (now.attached && fresh) {
        /* A block may have outlived its owner */
        now.dead = !idt_ntb_shm_owner_alive(&s->shm, part);
        now.check_ms = 0;
    }
    if (!now.attached || now.dead) {
        peer_clear_levels(&now);
    }
    now.client = peer->client;
    *peer = now;
    if (peer->attached) {
        set_client(peer, peer_client(s, part, now.flags, now.server_pid,
                                     now.ivshmem_id));
    }
    judge_reach(s, peer);
    if (peer->attached && fresh) {
        trace_idt_ntb_attach(s->part, part, peer->incarnation);
        idt_ntb_ram_new_incarnation(s, part);
    }
    if (peer->attached) {
        idt_ntb_ram_refresh(s, part);
    } else {
        idt_ntb_ram_drop(s, part);
    }
    if (was_up != peer->linkup) {
        trace_idt_ntb_peer_state(s->part, part, peer->linkup, peer->pcicmd,
                                 peer->ntctl, peer->mtbl);
    }
}

static void peer_died(IDTNTBState *s, unsigned part)
{
    IDTNTBPeer *peer = &s->peer[part];

    trace_idt_ntb_detach(s->part, part);
    idt_ntb_client_forget(s->server.conn.clients, peer->client);
    set_client(peer, NULL);
    if (!peer->attached) {
        return;
    }
    peer->dead = true;
    peer_clear_levels(peer);
    idt_ntb_event_peer_died(s, part);
    idt_ntb_link_poll(s);
}

/* False once @part needs no further look */
static bool check_alive(IDTNTBState *s, unsigned part)
{
    IDTNTBPeer *peer = &s->peer[part];

    if (!idt_ntb_shm_owner_alive(&s->shm, part)) {
        peer->check_ms = 0;
        peer_died(s, part);
    } else if (!unwatched(s, peer)) {
        peer->check_ms = 0;
    } else {
        peer->check_ms = MIN(2 * peer->check_ms, CHECK_LAST_MS);
    }
    return peer->check_ms;
}

void idt_ntb_peer_live_timer(void *opaque)
{
    IDTNTBState *s = opaque;
    unsigned again = 0;

    /* What a death brings about may even unplug this port */
    for (unsigned part = 0; part < s->nports && s->own; part++) {
        IDTNTBPeer *peer = &s->peer[part];

        if (peer->check_ms && check_alive(s, part) &&
            (!again || peer->check_ms < again)) {
            again = peer->check_ms;
        }
    }
    if (again && s->own) {
        arm_live_timer(s, again);
    }
}

/* The other side's eventfd is here: what it did before may have been missed */
void idt_ntb_peer_client_joined(IDTNTBState *s, int fd)
{
    if (!idt_ntb_client_ring(fd)) {
        idt_ntb_warn(s, "cannot wake another port: %s", strerror(errno));
    }
    idt_ntb_link_poll(s);
}

void idt_ntb_peer_client_gone(IDTNTBState *s, IDTNTBClient *client)
{
    bool known = false;

    for (unsigned part = 0; part < s->nports; part++) {
        IDTNTBPeer *peer = &s->peer[part];

        if (peer->attached && peer->client == client) {
            known = true;
            peer->check_ms = CHECK_FIRST_MS;
            arm_live_timer(s, 0);
        }
    }
    if (!known) {
        idt_ntb_client_forget(s->server.conn.clients, client);
    }
    /* A sender that died may have announced a kick and never sent it */
    idt_ntb_link_poll(s);
}

void idt_ntb_peer_server_lost(IDTNTBState *s)
{
    s->flags |= NTB_SHM_F_SERVER_LOST;
    trace_idt_ntb_server_lost(s->part);
    /* At its end QEMU closes the connection itself */
    if (!runstate_check(RUN_STATE_SHUTDOWN)) {
        idt_ntb_warn(s, "ivshmem-server is gone; links stay up, but no port "
                     "can join until it is back");
    }
    if (!s->own) {
        return;
    }
    idt_ntb_link_publish(s);
    /*
     * Who has left for a new server already was rung, until now, by an id that
     * is of that server: ring all, and look whether others did so to us.
     */
    idt_ntb_event_ring_all(s);
    idt_ntb_link_poll(s);
}

/* Leave no trace of the other ports, as before the first look at them */
void idt_ntb_peer_forget_all(IDTNTBState *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        IDTNTBPeer *peer = &s->peer[part];

        if (part == s->part) {
            continue;
        }
        if (peer->linkup) {
            idt_ntb_event_peer_died(s, part);
        }
        idt_ntb_ram_drop(s, part);
        set_client(peer, NULL);
        /* Who is up already when we look again does not tell us once more */
        *peer = (IDTNTBPeer) { .hidden = true };
    }
}
