/*
 * NTB port: taking in what the other ports have changed
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-ack.h"
#include "ntb-inbox.h"
#include "ntb-peer.h"
#include "ntb-poll.h"
#include "ntb-record.h"
#include "ntb-window.h"

static void take(NTBPort *s, NTBEvent event, uint32_t news, uint32_t parts)
{
    if (parts) {
        ntb_record(s, NTB_SHM_EV_NEWS_IN, NTB_SHM_NOBODY, news, parts, 0);
    }
    ntb_tell(s, event, parts);
}

static void take_events(NTBPort *s)
{
    uint32_t all = (1u << s->nports) - 1;
    uint32_t up = qatomic_xchg(&s->own->ev_linkup, 0);
    uint32_t down = qatomic_xchg(&s->own->ev_linkdn, 0);
    uint32_t signals = qatomic_xchg(&s->own->ev_gsig, 0);

    if (s->unplugged) {
        up = 0;                 /* is told when the cable is in again */
    }
    take(s, NTB_EVENT_LINK_UP, NTB_SHM_NEWS_LINK_UP, up & all);
    take(s, NTB_EVENT_LINK_DOWN, NTB_SHM_NEWS_LINK_DOWN, down & all);
    take(s, NTB_EVENT_SIGNAL, NTB_SHM_NEWS_SIGNAL, signals & all);
}

static void take_in(NTBPort *s)
{
    /* Cleared before looking: what comes later kicks again */
    qatomic_xchg(&s->own->kick_pending, 0);
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            ntb_peer_refresh(s, part);
        }
    }
    ntb_window_update(s);
    ntb_ack(s);
    take_events(s);
    ntb_inbox_look(s);
    s->ops->irq_changed(s);
    ntb_publish(s);
}

void ntb_poll(NTBPort *s)
{
    if (s->own) {
        bool before = ntb_record_peers(s);

        take_in(s);
        ntb_record_own(s, before);
    }
}
