/*
 * IDT NTB port: life cycle and link state
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
#include "idt-ntb-int.h"
#include "trace.h"

unsigned idt_ntb_port_of(unsigned part)
{
    static const uint8_t ports[IDT_NTB_PORTS] = { 0, 2, 4, 6, 8, 12 };

    return ports[part];
}

void idt_ntb_link_poll(IDTNTBState *s)
{
    if (!s->own) {
        return;
    }
    /* Cleared before looking: what comes later kicks again */
    qatomic_xchg(&s->own->kick_pending, 0);
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            idt_ntb_peer_refresh(s, part);
        }
    }
    idt_ntb_mw_update(s);
    idt_ntb_quiesce_ack(s);
    idt_ntb_event_drain(s);
    idt_ntb_event_count_doorbells(s);
    idt_ntb_irq_update(s);
    idt_ntb_regs_publish(s);
}

void idt_ntb_link_publish(IDTNTBState *s)
{
    IDTNTBShmPort *own = s->own;
    IDTNTBShmArea *area = idt_ntb_shm_area(own);

    qatomic_set(&own->flags, s->flags);
    qatomic_set(&own->pcicmd, idt_ntb_pcicmd(s));
    qatomic_set(&area->ntctl, s->ntctl);
    qatomic_set(&area->mtbl, s->mtbl);
    qatomic_set(&own->admits, s->admits);
    qatomic_set(&area->pcielctlsts,
                pci_default_read_config(PCI_DEVICE(s), IDT_NTB_PCIELCTLSTS, 4));
    qatomic_store_release(&own->linkup, s->linkup);
}

/* First the server, then its id: others take neither while the flag is set */
void idt_ntb_link_publish_client(IDTNTBState *s)
{
    qatomic_set(&s->own->server_pid, s->server.conn.pid);
    qatomic_set(&s->own->ivshmem_id, s->server.conn.id);
}

void idt_ntb_link_changed(IDTNTBState *s)
{
    bool admits = idt_ntb_state_admits(s->linkup, idt_ntb_pcicmd(s), s->ntctl,
                                       s->mtbl);
    bool closing = s->admits && !admits;

    if (!s->own) {
        return;
    }
    s->admits = admits;
    idt_ntb_mw_update(s);
    idt_ntb_link_publish(s);
    if (closing) {
        s->down_epoch++;
        qatomic_store_release(&s->own->down_epoch, s->down_epoch);
    }
    idt_ntb_regs_publish(s);
    idt_ntb_event_kick_all(s);
    if (closing) {
        idt_ntb_quiesce(s);
    }
}

void idt_ntb_link_try_attach(IDTNTBState *s)
{
    IDTNTBShmPort *own = s->own;
    uint64_t incarnation;

    if (!own || s->attached || s->in_reset || !s->ram_published ||
        s->server.conn.own_fd < 0) {
        return;
    }
    qemu_guest_getrandom_nofail(&incarnation, sizeof(incarnation));
    idt_ntb_shm_set64(&own->incarnation, incarnation);
    idt_ntb_shm_set64(&own->start_ns, g_get_real_time() * 1000);
    qatomic_set(&own->down_epoch, s->down_epoch);
    s->attached = true;
    s->linkup = true;
    s->admits = idt_ntb_state_admits(true, idt_ntb_pcicmd(s), s->ntctl,
                                     s->mtbl);
    idt_ntb_link_publish(s);
    qatomic_store_release(&own->state, NTB_SHM_ATTACHED);
    idt_ntb_event_post_link(s, true);
    idt_ntb_event_kick_all(s);
    idt_ntb_link_poll(s);
}

void idt_ntb_link_reset_enter(IDTNTBState *s)
{
    s->in_reset = true;
    if (!s->attached) {
        return;
    }
    s->linkup = false;
    s->ntctl = 0;
    s->mtbl = 0;
    idt_ntb_link_publish(s);
    idt_ntb_event_post_link(s, false);
    idt_ntb_link_changed(s);
}

void idt_ntb_link_reset_hold(IDTNTBState *s)
{
    IDTNTBShmPort *own = s->own;
    unsigned src = s->part == 0 ? 1 : 0;

    qatomic_xchg(&own->indbellsts, 0);
    qatomic_xchg(&own->ev_linkup, 0);
    qatomic_xchg(&own->ev_linkdn, 0);
    qatomic_xchg(&own->ev_gsig, 0);
    for (unsigned m = 0; m < IDT_NTB_MSGS; m++) {
        idt_ntb_shm_set64(&own->inmsg[m],
                          (uint64_t)src << NTB_SHM_INMSG_SRC_SHIFT);
    }
}

void idt_ntb_link_reset_exit(IDTNTBState *s)
{
    s->in_reset = false;
    if (!s->attached) {
        idt_ntb_link_try_attach(s);
        return;
    }
    idt_ntb_link_reset_hold(s);     /* what came meanwhile went nowhere */
    s->linkup = true;
    idt_ntb_link_changed(s);
    idt_ntb_event_post_link(s, true);
    idt_ntb_link_poll(s);
}

void idt_ntb_link_rejoined(IDTNTBState *s)
{
    idt_ntb_link_publish_client(s);
    s->flags &= ~NTB_SHM_F_SERVER_LOST;
    idt_ntb_link_publish(s);
    trace_idt_ntb_server_back(s->part, s->server.conn.id);
    /* Others may see this port as down until now, and wait for nothing */
    idt_ntb_server_ring_all(s);
    idt_ntb_link_try_attach(s);
    /* Whoever had the wrong eventfd of this port has left its news in memory */
    idt_ntb_link_poll(s);
}

/* Take the port off the page; its registers stay as the guest has set them */
static void leave(IDTNTBState *s)
{
    if (!s->attached) {
        return;
    }
    s->linkup = false;
    idt_ntb_link_publish(s);
    idt_ntb_event_post_link(s, false);
    idt_ntb_link_changed(s);
    if (s->own) {
        s->attached = false;
        qatomic_store_release(&s->own->state, NTB_SHM_FREE);
        idt_ntb_event_kick_all(s);
    }
}

/* For the guest it is a power cycle of the switch: all links down, then up */
bool idt_ntb_link_change_switch(IDTNTBState *s, int shm_fd)
{
    IDTNTBShm shm;
    Error *err = NULL;

    idt_ntb_shm_init(&shm);
    if (!idt_ntb_shm_map(&shm, shm_fd, &err) ||
        !idt_ntb_shm_claim(&shm, s->part, idt_ntb_port_of(s->part), &s->cfg,
                           &err)) {
        idt_ntb_warn(s, "cannot join the new ivshmem-server's switch: %s",
                     error_get_pretty(err));
        error_free(err);
        idt_ntb_shm_release(&shm);
        return false;
    }
    leave(s);
    if (!s->own) {                      /* unplugged by what that set off */
        idt_ntb_shm_release(&shm);
        return false;
    }
    idt_ntb_peer_forget_all(s);
    idt_ntb_mw_update(s);
    idt_ntb_shm_release(&s->shm);
    s->shm = shm;
    s->own = idt_ntb_shm_port(&s->shm, s->part);
    memset(&s->stats, 0, sizeof(s->stats));
    s->db_seen = 0;
    trace_idt_ntb_switch_changed(s->part, s->shm.nonce);
    idt_ntb_link_reset_hold(s);
    if (s->ram_published) {
        idt_ntb_ram_publish(s);
    }
    idt_ntb_regs_publish(s);
    return true;
}

void idt_ntb_link_init(IDTNTBState *s)
{
    s->live_timer = timer_new_ms(QEMU_CLOCK_REALTIME, idt_ntb_peer_live_timer,
                                 s);
    idt_ntb_quiesce_join(s);
}

void idt_ntb_link_exit(IDTNTBState *s)
{
    s->in_reset = true;
    if (s->own) {
        leave(s);
    }
    if (s->own) {
        idt_ntb_peer_forget_all(s);
    }
    if (s->live_timer) {
        idt_ntb_quiesce_leave(s);
        timer_free(s->live_timer);
        s->live_timer = NULL;
    }
}
