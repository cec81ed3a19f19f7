/*
 * NTB port: life cycle and link state
 *
 * The levels that a port publishes decide, together with its peer's, whether
 * the drivers report the link as up, and whether windows are open.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "ntb-inbox.h"
#include "ntb-kick.h"
#include "ntb-level.h"
#include "ntb-link.h"
#include "ntb-peer.h"
#include "ntb-poll.h"
#include "ntb-quiesce.h"
#include "ntb-ram.h"
#include "ntb-record.h"
#include "ntb-warn.h"
#include "ntb-watch.h"
#include "ntb-window.h"
#include "trace.h"

/* True if peers have to follow, by this or because they are @redirected */
static bool show_change(NTBPort *s, bool redirected)
{
    bool closing = ntb_level_update(s) || redirected;

    ntb_window_update(s);
    ntb_level_publish(s);
    if (closing) {
        s->down_epoch++;
        qatomic_store_release(&s->own->down_epoch, s->down_epoch);
    }
    ntb_publish(s);
    ntb_kick_all(s);
    return closing;
}

void ntb_link_changed(NTBPort *s)
{
    if (s->own && show_change(s, false)) {
        ntb_quiesce(s);
    }
}

void ntb_link_redirected(NTBPort *s)
{
    if (s->own) {
        show_change(s, true);
    }
}

static void tell_up(NTBPort *s)
{
    if (s->linkup) {
        ntb_kick_link(s, true);
    }
}

void ntb_link_try_attach(NTBPort *s)
{
    NTBShmPort *own = s->own;
    uint64_t incarnation;

    if (!own || s->attached || s->in_reset || !s->ram_published ||
        s->server.conn.own_fd < 0) {
        return;
    }
    qemu_guest_getrandom_nofail(&incarnation, sizeof(incarnation));
    ntb_shm_set64(&own->incarnation, incarnation);
    ntb_shm_set64(&own->start_ns, g_get_real_time() * 1000);
    qatomic_set(&own->down_epoch, s->down_epoch);
    s->attached = true;
    s->linkup = !s->unplugged;
    ntb_record(s, NTB_SHM_EV_ATTACH, NTB_SHM_NOBODY, 0, incarnation, 0);
    ntb_level_update(s);
    ntb_level_publish(s);
    qatomic_store_release(&own->state, NTB_SHM_ATTACHED);
    tell_up(s);
    ntb_kick_all(s);
    ntb_poll(s);
}

void ntb_link_reset_enter(NTBPort *s)
{
    s->in_reset = true;
    ntb_record(s, NTB_SHM_EV_RESET, NTB_SHM_NOBODY, 1, 0, 0);
    if (!s->attached) {
        return;
    }
    s->linkup = false;
    s->ops->reset(s);
    ntb_level_publish(s);
    ntb_kick_link(s, false);
    ntb_link_changed(s);
}

void ntb_link_reset_hold(NTBPort *s)
{
    NTBShmPort *own = s->own;
    unsigned src = s->part == 0 ? 1 : 0;

    qatomic_xchg(&own->indbellsts, 0);
    qatomic_xchg(&own->ev_linkup, 0);
    qatomic_xchg(&own->ev_linkdn, 0);
    qatomic_xchg(&own->ev_gsig, 0);
    for (unsigned m = 0; m < NTB_SHM_NUM_MSG; m++) {
        ntb_shm_set64(&own->inmsg[m],
                      (uint64_t)src << NTB_SHM_INMSG_SRC_SHIFT);
    }
    ntb_inbox_forget(s);
}

void ntb_link_reset_exit(NTBPort *s)
{
    s->in_reset = false;
    ntb_record(s, NTB_SHM_EV_RESET, NTB_SHM_NOBODY, 0, 0, 0);
    if (!s->attached) {
        ntb_link_try_attach(s);
        return;
    }
    ntb_link_reset_hold(s);     /* what came meanwhile went nowhere */
    s->linkup = !s->unplugged;
    ntb_link_changed(s);
    tell_up(s);
    ntb_poll(s);
}

/* The other ports count as down for this one, as it does for them */
static void pull(NTBPort *s)
{
    uint32_t up = 0;

    /* Who was up is forgotten while this port waits for windows to close */
    for (unsigned part = 0; part < s->nports; part++) {
        up |= (s->peer[part].linkup ? 1u : 0) << part;
    }
    s->linkup = false;
    ntb_level_publish(s);
    ntb_kick_link(s, false);
    ntb_link_changed(s);
    ntb_tell(s, NTB_EVENT_LINK_DOWN, up);
}

void ntb_link_plug(NTBPort *s, bool plugged)
{
    if (s->unplugged == !plugged) {
        return;
    }
    s->unplugged = !plugged;
    s->flags ^= NTB_SHM_F_UNPLUGGED;
    trace_ntb_cable(s->part, plugged);
    ntb_record(s, NTB_SHM_EV_CABLE, NTB_SHM_NOBODY, plugged, 0, 0);
    if (!s->own) {
        return;
    }
    if (!s->attached || s->in_reset) {
        ntb_level_publish(s);
    } else if (plugged) {
        s->linkup = true;
        ntb_link_changed(s);
        ntb_kick_link(s, true);
    } else {
        pull(s);
    }
    ntb_poll(s);
}

void ntb_link_rejoined(NTBPort *s)
{
    ntb_level_publish_client(s);
    s->flags &= ~NTB_SHM_F_SERVER_LOST;
    ntb_level_publish(s);
    trace_ntb_server_back(s->part, s->server.conn.id);
    ntb_record(s, NTB_SHM_EV_SERVER, NTB_SHM_NOBODY, 1, 0, 0);
    /* Others may see this port as down until now, and wait for nothing */
    ntb_client_ring_all(s->server.conn.clients);
    ntb_link_try_attach(s);
    /* Whoever had the wrong eventfd of this port has left its news in memory */
    ntb_poll(s);
}

/* Take the port off the page; its registers stay as the guest has set them */
static void leave(NTBPort *s)
{
    if (!s->attached) {
        return;
    }
    s->linkup = false;
    ntb_level_publish(s);
    ntb_kick_link(s, false);
    ntb_link_changed(s);
    if (s->own) {
        s->attached = false;
        ntb_record(s, NTB_SHM_EV_LEAVE, NTB_SHM_NOBODY, 0, 0, 0);
        qatomic_store_release(&s->own->state, NTB_SHM_FREE);
        ntb_kick_all(s);
    }
}

/* For the guest it is a power cycle of the switch: all links down, then up */
bool ntb_link_change_switch(NTBPort *s, int shm_fd)
{
    NTBShm shm;
    Error *err = NULL;

    ntb_shm_init(&shm);
    if (!ntb_shm_map(&shm, shm_fd, &err) ||
        !ntb_shm_claim(&shm, s->part, &s->cfg, &err)) {
        ntb_warn(s, "cannot join the new ivshmem-server's switch: %s",
                 error_get_pretty(err));
        error_free(err);
        ntb_shm_release(&shm);
        return false;
    }
    leave(s);
    if (!s->own) {                      /* unplugged by what that set off */
        ntb_shm_release(&shm);
        return false;
    }
    ntb_peer_forget_all(s);
    ntb_window_update(s);
    ntb_record_stop(s);
    ntb_shm_release(&s->shm);
    s->shm = shm;
    s->own = ntb_shm_port(&s->shm, s->part);
    ntb_record_start(s);
    memset(&s->stats, 0, sizeof(s->stats));
    trace_ntb_switch_changed(s->part, s->shm.nonce);
    ntb_link_reset_hold(s);
    if (s->ram_published) {
        ntb_ram_publish(s);
    }
    ntb_publish(s);
    return true;
}

void ntb_link_init(NTBPort *s)
{
    s->live_timer = timer_new_ms(QEMU_CLOCK_REALTIME, ntb_watch_timer, s);
    ntb_quiesce_join(s);
}

void ntb_link_exit(NTBPort *s)
{
    s->in_reset = true;
    if (s->own) {
        leave(s);
    }
    if (s->own) {
        ntb_peer_forget_all(s);
    }
    if (s->live_timer) {
        ntb_quiesce_leave(s);
        timer_free(s->live_timer);
        s->live_timer = NULL;
    }
}
