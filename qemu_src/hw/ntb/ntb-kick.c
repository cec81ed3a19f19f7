/*
 * NTB port: what is sent to the other ports
 *
 * What a port shows of itself are levels; events only say "look again". So
 * levels are stored first, then an event is posted, then the receiver is
 * kicked, and a receiver takes levels in before it latches events.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-kick.h"
#include "ntb-peer.h"
#include "trace.h"

/* Whom to wake is asked last: a port that changes servers tells, then looks */
static void ring(NTBPort *s, unsigned part)
{
    int fd = ntb_peer_eventfd(s, part);

    if (fd >= 0 && ntb_client_ring(fd)) {
        NTB_COUNT(s, kicks);
        trace_ntb_kick_tx(s->part, part);
    }
}

/*
 * One eventfd write wakes the receiver for everything that happens until it
 * clears kick_pending.
 */
static void kick(NTBPort *s, unsigned part)
{
    NTBShmPort *block = ntb_block(s, part);

    if (ntb_peer_eventfd(s, part) >= 0 &&
        !qatomic_xchg(&block->kick_pending, 1)) {
        ring(s, part);
    }
}

void ntb_kick_all(NTBPort *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            kick(s, part);
        }
    }
}

void ntb_kick_ring_all(NTBPort *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            ring(s, part);
        }
    }
}

static void post_event(NTBPort *s, unsigned part, uint32_t *word,
                       uint32_t bit, const char *what)
{
    trace_ntb_event_post(s->part, part, what);
    qatomic_or(word, bit);
    kick(s, part);
}

void ntb_kick_link(NTBPort *s, bool up)
{
    uint32_t bit = 1u << s->part;

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            NTBShmPort *block = ntb_block(s, part);

            post_event(s, part, up ? &block->ev_linkup : &block->ev_linkdn,
                       bit, up ? "link up" : "link down");
        }
    }
}

void ntb_kick_signal(NTBPort *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && ntb_peer_attached_now(s, part)) {
            post_event(s, part, &ntb_block(s, part)->ev_gsig,
                       1u << s->part, "global signal");
        }
    }
}

/* May anything be sent to @part at all? */
static bool reachable(const NTBPort *s, unsigned part)
{
    return s->peer[part].attached && s->peer[part].linkup;
}

void ntb_kick_doorbell(NTBPort *s, uint32_t bits)
{
    NTB_COUNT(s, db_tx);
    if (!bits) {
        return;
    }
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && reachable(s, part)) {
            qatomic_fetch_or(&ntb_block(s, part)->indbellsts, bits);
            kick(s, part);
        }
    }
}

bool ntb_kick_message(NTBPort *s, unsigned part, unsigned reg, uint32_t data)
{
    bool sent = ntb_is_peer(s, part) && reachable(s, part) &&
                ntb_shm_msg_send(ntb_block(s, part), reg, data,
                                 s->part);

    NTB_COUNT(s, msg_tx);
    trace_ntb_msg_send(s->part, part, reg, data);
    if (sent) {
        kick(s, part);
    } else {
        trace_ntb_msg_full(s->part, part, reg);
        NTB_COUNT(s, msg_fail);
    }
    return sent;
}
