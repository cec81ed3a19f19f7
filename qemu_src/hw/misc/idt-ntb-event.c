/*
 * IDT NTB port: events, doorbells and messages
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
#include "idt-ntb-int.h"
#include "trace.h"

/* Whom to wake is asked last: a port that changes servers tells, then looks */
static void ring(IDTNTBState *s, unsigned part)
{
    int fd = idt_ntb_peer_eventfd(s, part);

    if (fd >= 0 && idt_ntb_client_ring(fd)) {
        IDT_NTB_COUNT(s, kicks);
        trace_idt_ntb_kick_tx(s->part, part);
    }
}

/*
 * One eventfd write wakes the receiver for everything that happens until it
 * clears kick_pending.
 */
static void kick(IDTNTBState *s, unsigned part)
{
    IDTNTBShmPort *block = idt_ntb_peer_block(s, part);

    if (idt_ntb_peer_eventfd(s, part) >= 0 &&
        !qatomic_xchg(&block->kick_pending, 1)) {
        ring(s, part);
    }
}

void idt_ntb_event_kick_all(IDTNTBState *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            kick(s, part);
        }
    }
}

void idt_ntb_event_ring_all(IDTNTBState *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            ring(s, part);
        }
    }
}

/*
 * An event reached this port: latch it, and raise SEVENT unless masked. SEVENT
 * is latched now because the driver clears SEGSIGSTS right after signalling.
 */
static void latch_event(IDTNTBState *s, uint32_t se_bit, uint32_t *sts,
                        uint32_t msk, uint32_t bits)
{
    if (!bits) {
        return;
    }
    *sts |= bits;
    if ((bits & ~msk) && !(s->semsk & se_bit) &&
        !(s->sepmsk & (1u << s->part))) {
        s->ntintsts |= NTINT_SEVENT;
    }
}

/* The page names partitions, the part's registers switch ports */
static uint32_t switch_ports(const IDTNTBState *s, uint32_t parts)
{
    uint32_t ports = 0;

    for (unsigned part = 0; part < s->nports; part++) {
        ports |= (parts >> part & 1) << idt_ntb_port_of(part);
    }
    return ports;
}

void idt_ntb_event_drain(IDTNTBState *s)
{
    uint32_t up = switch_ports(s, qatomic_xchg(&s->own->ev_linkup, 0));
    uint32_t down = switch_ports(s, qatomic_xchg(&s->own->ev_linkdn, 0));
    uint32_t sig = qatomic_xchg(&s->own->ev_gsig, 0) & ((1u << s->nports) - 1);

    if (s->in_reset) {
        return;
    }
    latch_event(s, SE_LINKUP, &s->selinkupsts, s->selinkupmsk, up);
    latch_event(s, SE_LINKDN, &s->selinkdnsts, s->selinkdnmsk, down);
    latch_event(s, SE_GSIGNAL, &s->segsigsts, s->segsigmsk, sig);
}

static void post_event(IDTNTBState *s, unsigned part, uint32_t *word,
                       uint32_t bit, const char *what)
{
    trace_idt_ntb_event_post(s->part, part, what);
    qatomic_or(word, bit);
    kick(s, part);
}

void idt_ntb_event_post_link(IDTNTBState *s, bool up)
{
    uint32_t bit = 1u << s->part;

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            IDTNTBShmPort *block = idt_ntb_peer_block(s, part);

            post_event(s, part, up ? &block->ev_linkup : &block->ev_linkdn,
                       bit, up ? "link up" : "link down");
        }
    }
}

void idt_ntb_event_gsignal(IDTNTBState *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && idt_ntb_peer_attached_now(s, part)) {
            post_event(s, part, &idt_ntb_peer_block(s, part)->ev_gsig,
                       1u << s->part, "global signal");
        }
    }
    /* The driver unmasks its own partition as well */
    latch_event(s, SE_GSIGNAL, &s->segsigsts, s->segsigmsk, 1u << s->part);
}

/* The peer was up before we could reach it: it does not tell once more */
void idt_ntb_event_peer_appeared(IDTNTBState *s, unsigned part)
{
    if (!s->in_reset) {
        latch_event(s, SE_LINKUP, &s->selinkupsts, s->selinkupmsk,
                    1u << idt_ntb_port_of(part));
    }
}

/* The peer's process died: nobody else will tell that its link is down */
void idt_ntb_event_peer_died(IDTNTBState *s, unsigned part)
{
    if (!s->in_reset) {
        latch_event(s, SE_LINKDN, &s->selinkdnsts, s->selinkdnmsk,
                    1u << idt_ntb_port_of(part));
    }
}

/* May anything be sent to @part at all? */
static bool reachable(const IDTNTBState *s, unsigned part)
{
    return s->peer[part].attached && s->peer[part].linkup;
}

void idt_ntb_event_doorbell(IDTNTBState *s, uint32_t bits)
{
    trace_idt_ntb_db_set(s->part, bits);
    IDT_NTB_COUNT(s, db_tx);
    if (!bits) {
        return;
    }
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && reachable(s, part)) {
            qatomic_fetch_or(&idt_ntb_peer_block(s, part)->indbellsts, bits);
            kick(s, part);
        }
    }
    if (s->db_loopback) {
        qatomic_fetch_or(&s->own->indbellsts, bits);
    }
}

bool idt_ntb_event_message(IDTNTBState *s, unsigned part, unsigned reg,
                          uint32_t data)
{
    bool sent = idt_ntb_is_peer(s, part) && reachable(s, part) &&
                idt_ntb_shm_msg_send(idt_ntb_peer_block(s, part), reg, data,
                                     s->part);

    IDT_NTB_COUNT(s, msg_tx);
    trace_idt_ntb_msg_send(s->part, part, reg, data);
    if (sent) {
        kick(s, part);
    } else {
        trace_idt_ntb_msg_full(s->part, part, reg);
        IDT_NTB_COUNT(s, msg_fail);
    }
    return sent;
}

void idt_ntb_event_count_doorbells(IDTNTBState *s)
{
    uint32_t sts = qatomic_read(&s->own->indbellsts);

    if (sts & ~s->db_seen) {
        IDT_NTB_COUNT(s, db_rx);
    }
    s->db_seen = sts;
}
