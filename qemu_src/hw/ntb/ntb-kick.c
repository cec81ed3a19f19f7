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
#include "ntb-fault.h"
#include "ntb-kick.h"
#include "ntb-peer.h"
#include "ntb-record.h"
#include "trace.h"

/* May anything be sent to @part at all? */
static bool reachable(const NTBPort *s, unsigned part)
{
    return s->peer[part].attached && s->peer[part].linkup;
}

/* That nobody wakes a port which is not there goes without saying */
static void record_kick(NTBPort *s, unsigned part, uint32_t how)
{
    if (how != NTB_SHM_KICK_FAILED || reachable(s, part)) {
        ntb_record(s, NTB_SHM_EV_KICK, part, how, 0, 0);
    }
}

/* Whom to wake is asked last: a port that changes servers tells, then looks */
static void ring(NTBPort *s, unsigned part)
{
    int fd = ntb_peer_eventfd(s, part);
    bool sent = fd >= 0 && ntb_client_ring(fd);

    record_kick(s, part, sent ? NTB_SHM_KICK_SENT : NTB_SHM_KICK_FAILED);
    if (sent) {
        NTB_COUNT(s, kicks);
        trace_ntb_kick_tx(s->part, part);
    }
}

/*
 * One eventfd write wakes the receiver for everything that happens until it
 * clears kick_pending.
 */
void ntb_kick(NTBPort *s, unsigned part)
{
    NTBShmPort *block = ntb_block(s, part);

    if (ntb_peer_eventfd(s, part) < 0) {
        record_kick(s, part, NTB_SHM_KICK_FAILED);
    } else if (qatomic_xchg(&block->kick_pending, 1)) {
        record_kick(s, part, NTB_SHM_KICK_PENDING);
    } else {
        ring(s, part);
    }
}

void ntb_kick_all(NTBPort *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            ntb_kick(s, part);
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
    ntb_kick(s, part);
}

static void record_news(NTBPort *s, uint32_t what)
{
    ntb_record(s, NTB_SHM_EV_NEWS, NTB_SHM_NOBODY, what, 0, 0);
}

void ntb_kick_link(NTBPort *s, bool up)
{
    uint32_t bit = 1u << s->part;

    record_news(s, up ? NTB_SHM_NEWS_LINK_UP : NTB_SHM_NEWS_LINK_DOWN);
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
    record_news(s, NTB_SHM_NEWS_SIGNAL);
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && ntb_peer_attached_now(s, part)) {
            post_event(s, part, &ntb_block(s, part)->ev_gsig,
                       1u << s->part, "global signal");
        }
    }
}

void ntb_kick_deliver(NTBPort *s, uint32_t bits)
{
    uint32_t to = 0, again = 0;

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && reachable(s, part)) {
            uint32_t *doorbells = &ntb_block(s, part)->indbellsts;

            again |= qatomic_fetch_or(doorbells, bits) & bits;
            to |= 1u << part;
        }
    }
    ntb_record(s, NTB_SHM_EV_DB_SENT, NTB_SHM_NOBODY, to, bits, again);
    for (unsigned part = 0; part < s->nports; part++) {
        if (to >> part & 1) {
            ntb_kick(s, part);
        }
    }
}

void ntb_kick_doorbell(NTBPort *s, uint32_t bits)
{
    NTB_COUNT(s, db_tx);
    if (bits && !ntb_fault_takes(s, bits)) {
        ntb_kick_deliver(s, bits);
    }
}

/* Why a message that was not sent cannot be */
static uint32_t why_refused(const NTBPort *s, unsigned part)
{
    if (!ntb_is_peer(s, part)) {
        return NTB_SHM_REFUSED_NOBODY;
    }
    return reachable(s, part) ? NTB_SHM_REFUSED_FULL : NTB_SHM_REFUSED_DOWN;
}

bool ntb_kick_message(NTBPort *s, unsigned part, unsigned reg, uint32_t data)
{
    bool sent = ntb_is_peer(s, part) && reachable(s, part) &&
                ntb_shm_msg_send(ntb_block(s, part), reg, data,
                                 s->part);

    NTB_COUNT(s, msg_tx);
    trace_ntb_msg_send(s->part, part, reg, data);
    if (sent) {
        ntb_record(s, NTB_SHM_EV_MSG_SENT, part, reg, data, 0);
        ntb_kick(s, part);
    } else {
        ntb_record(s, NTB_SHM_EV_MSG_REFUSED, part, reg, data,
                   why_refused(s, part));
        trace_ntb_msg_full(s->part, part, reg);
        NTB_COUNT(s, msg_fail);
    }
    return sent;
}
