/*
 * NTB port: closing the windows of others
 *
 * ntb_link_disable() promises that no more writes arrive when it returns. So a
 * port that closes raises its epoch, and every other port acknowledges the
 * epoch up to which its own windows are closed, for all of its vCPUs.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-peer.h"
#include "ntb-poll.h"
#include "ntb-quiesce.h"
#include "ntb-record.h"
#include "ntb-warn.h"
#include "trace.h"

#define QUIESCE_POLL_US     20

/*
 * Ports of one switch may sit in one process; while one waits for another under
 * the BQL it must do the other's work.
 */
static QLIST_HEAD(, NTBPort) local_ports =
    QLIST_HEAD_INITIALIZER(local_ports);

void ntb_quiesce_join(NTBPort *s)
{
    QLIST_INSERT_HEAD(&local_ports, s, next);
}

void ntb_quiesce_leave(NTBPort *s)
{
    QLIST_REMOVE(s, next);
}

/* Ports that could have a window into this guest and are alive to close it */
static uint32_t quiesce_targets(NTBPort *s)
{
    uint32_t mask = 0;

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && ntb_peer_attached_now(s, part) &&
            !ntb_peer_hidden_now(s, part) &&
            ntb_shm_owner_alive(&s->shm, part)) {
            mask |= 1u << part;
        }
    }
    return mask;
}

static uint32_t quiesce_remaining(NTBPort *s, uint32_t mask)
{
    for (unsigned part = 0; part < s->nports; part++) {
        uint32_t ack = qatomic_load_acquire(&s->own->ack[part]);

        if ((int32_t)(ack - s->down_epoch) >= 0) {
            mask &= ~(1u << part);
        }
    }
    return mask;
}

static bool same_switch(const NTBPort *a, const NTBPort *b)
{
    return a->shm.nonce == b->shm.nonce;
}

/*
 * Partitions served in this process. They have let go when this returns: their
 * vCPUs are ours, have their flush queued, and cannot run it while we wait.
 */
static uint32_t poll_local_ports(const NTBPort *s)
{
    uint32_t mask = 0;
    NTBPort *other;

    QLIST_FOREACH(other, &local_ports, next) {
        if (same_switch(s, other)) {
            ntb_poll(other);
            mask |= 1u << other->part;
        }
    }
    return mask;
}

uint32_t ntb_quiesce_waits_for(NTBPort *s)
{
    /* Who does not see this port does not answer it either */
    return s->attached ? quiesce_remaining(s, quiesce_targets(s)) : 0;
}

void ntb_quiesce_gave_up(NTBPort *s, uint32_t mask, unsigned ms)
{
    NTB_COUNT(s, quiesce_timeouts);
    trace_ntb_quiesce_timeout(s->part, mask);
    if (!s->quiesce_warned) {
        s->quiesce_warned = true;
        ntb_warn(s, "ports of partitions 0x%x did not close their windows "
                 "within %u ms; further such closes are only counted",
                 mask, ms);
    }
}

/*
 * ntb_link_disable() promises that no more writes arrive when it returns, so
 * the register write that closes this port waits until all have let go.
 */
void ntb_quiesce(NTBPort *s)
{
    int64_t start = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    int64_t end = start + (int64_t)s->quiesce_timeout_ms * SCALE_MS;
    uint32_t epoch = s->down_epoch, silent = 0;
    int64_t took;
    uint32_t mask = quiesce_targets(s);

    /* Some answer, others leave or die meanwhile; this port may be unplugged */
    while (s->own &&
           (mask = quiesce_remaining(s, mask & quiesce_targets(s)))) {
        if (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= end) {
            silent = mask;
            ntb_quiesce_gave_up(s, mask, s->quiesce_timeout_ms);
            break;
        }
        /* Two ports that do this together serve each other */
        mask &= ~poll_local_ports(s);
        if (mask) {
            g_usleep(QUIESCE_POLL_US);
        }
    }
    took = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - start;
    trace_ntb_quiesce(s->part, epoch, took / SCALE_US);
    ntb_record(s, NTB_SHM_EV_QUIESCE, NTB_SHM_NOBODY, epoch, took, silent);
}
