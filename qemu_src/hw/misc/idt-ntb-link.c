/*
 * IDT NTB port: the other ports
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
#include "qemu/guest-random.h"
#include "hw/core/cpu.h"
#include "idt-ntb-int.h"
#include "trace.h"

/* After a client has left, its locks go away with the last of its files */
#define CHECK_FIRST_MS      10
#define CHECK_LAST_MS       2000
#define SERVER_LOST_POLL_MS 1000
#define QUIESCE_POLL_US     20

/*
 * Ports of one switch may sit in one process; while one waits for another under
 * the BQL it must do the other's work.
 */
static QLIST_HEAD(, IDTNTBState) local_ports =
    QLIST_HEAD_INITIALIZER(local_ports);

unsigned idt_ntb_port_of(unsigned part)
{
    static const uint8_t ports[IDT_NTB_PORTS] = { 0, 2, 4, 6, 8, 12 };

    return ports[part];
}

static IDTNTBShmPort *peer_block(const IDTNTBState *s, unsigned part)
{
    return idt_ntb_shm_port(&s->shm, part);
}

/*
 * One eventfd write wakes the receiver for everything that happens until it
 * clears kick_pending.
 */
static void kick(IDTNTBState *s, unsigned part)
{
    IDTNTBShmPort *block = peer_block(s, part);
    int fd = idt_ntb_server_eventfd(s, qatomic_read(&block->ivshmem_id));
    uint64_t one = 1;

    if (fd == IDT_NTB_NO_EVENTFD || qatomic_xchg(&block->kick_pending, 1)) {
        return;
    }
    if (RETRY_ON_EINTR(write(fd, &one, sizeof(one))) == sizeof(one)) {
        IDT_NTB_COUNT(s, kicks);
        trace_idt_ntb_kick_tx(s->part, part);
    }
}

static void kick_all(IDTNTBState *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            kick(s, part);
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

static void drain_events(IDTNTBState *s)
{
    uint32_t up = qatomic_xchg(&s->own->ev_linkup, 0) & s->cfg.port_bitmap;
    uint32_t down = qatomic_xchg(&s->own->ev_linkdn, 0) & s->cfg.port_bitmap;
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

static void post_link_event(IDTNTBState *s, bool up)
{
    uint32_t bit = 1u << idt_ntb_port_of(s->part);

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            IDTNTBShmPort *block = peer_block(s, part);

            post_event(s, part, up ? &block->ev_linkup : &block->ev_linkdn,
                       bit, up ? "link up" : "link down");
        }
    }
}

void idt_ntb_link_gsignal(IDTNTBState *s)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && s->peer[part].attached) {
            post_event(s, part, &peer_block(s, part)->ev_gsig, 1u << s->part,
                       "global signal");
        }
    }
    /* The driver unmasks its own partition as well */
    latch_event(s, SE_GSIGNAL, &s->segsigsts, s->segsigmsk, 1u << s->part);
}

/* May anything be sent to @part at all? */
static bool reachable(const IDTNTBState *s, unsigned part)
{
    return s->peer[part].attached && s->peer[part].linkup;
}

void idt_ntb_link_doorbell(IDTNTBState *s, uint32_t bits)
{
    trace_idt_ntb_db_set(s->part, bits);
    IDT_NTB_COUNT(s, db_tx);
    if (!bits) {
        return;
    }
    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && reachable(s, part)) {
            qatomic_fetch_or(&peer_block(s, part)->indbellsts, bits);
            kick(s, part);
        }
    }
    if (s->db_loopback) {
        qatomic_fetch_or(&s->own->indbellsts, bits);
    }
}

bool idt_ntb_link_message(IDTNTBState *s, unsigned part, unsigned reg,
                          uint32_t data)
{
    bool sent = idt_ntb_is_peer(s, part) && reachable(s, part) &&
                idt_ntb_shm_msg_send(peer_block(s, part), reg, data, s->part);

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

bool idt_ntb_link_peer_admits(const IDTNTBState *s, unsigned part)
{
    const IDTNTBPeer *peer = &s->peer[part];

    return peer->attached && idt_ntb_state_admits(peer->linkup, peer->pcicmd,
                                                  peer->ntctl, peer->mtbl);
}

uint32_t idt_ntb_link_peer_doorbells(const IDTNTBState *s, unsigned part)
{
    return s->peer[part].attached ?
           qatomic_read(&peer_block(s, part)->indbellsts) : 0;
}

/* A look at another port's block; all it says is bounded here */
static IDTNTBPeer peer_snapshot(const IDTNTBState *s, unsigned part)
{
    const IDTNTBShmPort *block = peer_block(s, part);
    IDTNTBPeer now = s->peer[part];

    now.attached = qatomic_load_acquire(&block->state) ==
                   IDT_NTB_SHM_ATTACHED;
    now.incarnation = idt_ntb_shm_get64(&block->incarnation);
    /* First the epoch: levels are then at least as new as it is */
    now.down_epoch = qatomic_load_acquire(&block->down_epoch);
    now.linkup = qatomic_load_acquire(&block->linkup) & 1;
    now.pcicmd = qatomic_read(&block->pcicmd) & 0xffff;
    now.ntctl = qatomic_read(&block->ntctl) & NTCTL_MASK;
    now.mtbl = qatomic_read(&block->mtbl) & NTMTBLDATA_MASK;
    now.pcielctlsts = qatomic_read(&block->pcielctlsts);
    now.flags = qatomic_read(&block->flags);
    now.ivshmem_id = qatomic_read(&block->ivshmem_id);
    return now;
}

static void peer_clear_levels(IDTNTBPeer *peer)
{
    peer->attached = peer->linkup = false;
    peer->pcicmd = peer->ntctl = peer->mtbl = peer->pcielctlsts = 0;
}

static void refresh_peer(IDTNTBState *s, unsigned part)
{
    IDTNTBPeer *peer = &s->peer[part];
    IDTNTBPeer now = peer_snapshot(s, part);
    bool was_up = peer->linkup;
    bool fresh = now.incarnation != peer->incarnation ||
                 (now.attached && !peer->attached && !peer->dead);

    if (now.attached && fresh) {
        /* A block may have outlived its owner */
        now.dead = !idt_ntb_shm_owner_alive(&s->shm, part);
        now.check_ms = 0;
    }
    if (!now.attached || now.dead) {
        peer_clear_levels(&now);
    }
    *peer = now;
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

/* Tell every port up to which epoch our windows into it are closed */
static void send_acks(IDTNTBState *s)
{
    if (s->flush_pending) {
        return;
    }
    for (unsigned part = 0; part < s->nports; part++) {
        IDTNTBPeer *peer = &s->peer[part];
        IDTNTBShmPort *block = peer_block(s, part);

        if (part == s->part || !peer->attached ||
            idt_ntb_shm_get64(&block->incarnation) != peer->incarnation) {
            continue;
        }
        if (qatomic_read(&block->ack[s->part]) != peer->down_epoch) {
            qatomic_store_release(&block->ack[s->part], peer->down_epoch);
        }
    }
}

static void vcpu_flushed(CPUState *cpu, run_on_cpu_data data)
{
    IDTNTBState *s = data.host_ptr;

    s->flush_pending--;
    if (s->own) {
        send_acks(s);
    }
    object_unref(OBJECT(s));
}

/*
 * Under TCG a change of the memory map reaches a vCPU only when it runs its
 * queued TLB flush. Our work is queued behind that flush. The vCPU whose access
 * we are in is left out: it runs its queue before the next block, and waiting
 * for it here would be waiting for ourselves.
 */
void idt_ntb_link_flush_vcpus(IDTNTBState *s)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu == current_cpu || !cpu->created) {
            continue;
        }
        s->flush_pending++;
        object_ref(OBJECT(s));
        async_run_on_cpu(cpu, vcpu_flushed, RUN_ON_CPU_HOST_PTR(s));
    }
}

static void count_doorbells(IDTNTBState *s)
{
    uint32_t sts = qatomic_read(&s->own->indbellsts);

    if (sts & ~s->db_seen) {
        IDT_NTB_COUNT(s, db_rx);
    }
    s->db_seen = sts;
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
            refresh_peer(s, part);
        }
    }
    idt_ntb_mw_update(s);
    send_acks(s);
    drain_events(s);
    count_doorbells(s);
    idt_ntb_irq_update(s);
    idt_ntb_regs_publish(s);
}

static void publish_levels(IDTNTBState *s)
{
    IDTNTBShmPort *own = s->own;

    qatomic_set(&own->flags, s->flags);
    qatomic_set(&own->pcicmd, idt_ntb_pcicmd(s));
    qatomic_set(&own->ntctl, s->ntctl);
    qatomic_set(&own->mtbl, s->mtbl);
    qatomic_set(&own->pcielctlsts,
                pci_default_read_config(PCI_DEVICE(s), IDT_NTB_PCIELCTLSTS, 4));
    qatomic_store_release(&own->linkup, s->linkup);
}

/* Ports that could have a window into this guest and are alive to close it */
static uint32_t quiesce_targets(IDTNTBState *s)
{
    uint32_t mask = 0;

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part && s->peer[part].attached &&
            idt_ntb_shm_owner_alive(&s->shm, part)) {
            mask |= 1u << part;
        }
    }
    return mask;
}

static uint32_t quiesce_remaining(IDTNTBState *s, uint32_t mask)
{
    for (unsigned part = 0; part < s->nports; part++) {
        uint32_t ack = qatomic_load_acquire(&s->own->ack[part]);

        if ((int32_t)(ack - s->down_epoch) >= 0) {
            mask &= ~(1u << part);
        }
    }
    return mask;
}

static void poll_local_ports(void)
{
    IDTNTBState *s;

    QLIST_FOREACH(s, &local_ports, next) {
        idt_ntb_link_poll(s);
    }
}

/*
 * ntb_link_disable() promises that no more writes arrive when it returns, so
 * the register write that closes this port waits until all have let go.
 */
static void quiesce(IDTNTBState *s)
{
    int64_t start = qemu_clock_get_us(QEMU_CLOCK_REALTIME);
    int64_t end = start + (int64_t)s->quiesce_timeout_ms * 1000;
    uint32_t mask = quiesce_targets(s);

    while ((mask = quiesce_remaining(s, mask))) {
        if (qemu_clock_get_us(QEMU_CLOCK_REALTIME) >= end) {
            IDT_NTB_COUNT(s, quiesce_timeouts);
            trace_idt_ntb_quiesce_timeout(s->part, mask);
            idt_ntb_warn(s, "ports of partitions 0x%x did not close their "
                         "windows within %u ms", mask, s->quiesce_timeout_ms);
            break;
        }
        /* Two ports that do this together serve each other */
        poll_local_ports();
        g_usleep(QUIESCE_POLL_US);
    }
    trace_idt_ntb_quiesce(s->part, s->down_epoch,
                          qemu_clock_get_us(QEMU_CLOCK_REALTIME) - start);
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
    publish_levels(s);
    if (closing) {
        s->down_epoch++;
        qatomic_store_release(&s->own->down_epoch, s->down_epoch);
    }
    idt_ntb_regs_publish(s);
    kick_all(s);
    if (closing) {
        quiesce(s);
    }
}

void idt_ntb_link_try_attach(IDTNTBState *s)
{
    IDTNTBShmPort *own = s->own;
    uint64_t incarnation;

    if (!own || s->attached || s->in_reset || !s->ram_published ||
        s->server.own_fd < 0) {
        return;
    }
    qemu_guest_getrandom_nofail(&incarnation, sizeof(incarnation));
    idt_ntb_shm_set64(&own->incarnation, incarnation);
    idt_ntb_shm_set64(&own->start_ns, g_get_real_time() * 1000);
    qatomic_set(&own->ivshmem_id, s->server.own_id);
    s->attached = true;
    s->linkup = true;
    publish_levels(s);
    qatomic_store_release(&own->state, IDT_NTB_SHM_ATTACHED);
    post_link_event(s, true);
    kick_all(s);
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
    publish_levels(s);
    post_link_event(s, false);
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
                          (uint64_t)src << IDT_NTB_SHM_INMSG_SRC_SHIFT);
    }
}

void idt_ntb_link_reset_exit(IDTNTBState *s)
{
    s->in_reset = false;
    if (!s->attached) {
        idt_ntb_link_try_attach(s);
        return;
    }
    s->linkup = true;
    idt_ntb_link_changed(s);
    post_link_event(s, true);
    idt_ntb_link_poll(s);
}

/* The other side's eventfd is here: whatever it has done may have been missed */
void idt_ntb_link_client_joined(IDTNTBState *s, int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) != sizeof(one)) {
        idt_ntb_warn(s, "cannot wake another port: %s", strerror(errno));
    }
    idt_ntb_link_poll(s);
}

static void peer_died(IDTNTBState *s, unsigned part)
{
    IDTNTBPeer *peer = &s->peer[part];
    uint32_t port = 1u << idt_ntb_port_of(part);

    trace_idt_ntb_detach(s->part, part);
    idt_ntb_server_forget(s, peer->ivshmem_id);
    if (!peer->attached) {
        return;
    }
    peer->dead = true;
    peer_clear_levels(peer);
    if (!s->in_reset) {
        latch_event(s, SE_LINKDN, &s->selinkdnsts, s->selinkdnmsk, port);
    }
    idt_ntb_link_poll(s);
}

static void arm_live_timer(IDTNTBState *s, unsigned ms)
{
    int64_t when = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms;

    if (!timer_pending(s->live_timer) ||
        (int64_t)timer_expire_time_ns(s->live_timer) > when * SCALE_MS) {
        timer_mod(s->live_timer, when);
    }
}

/* False once @part needs no further look */
static bool check_alive(IDTNTBState *s, unsigned part)
{
    IDTNTBPeer *peer = &s->peer[part];

    if (!idt_ntb_shm_owner_alive(&s->shm, part)) {
        peer->check_ms = 0;
        peer_died(s, part);
    } else if (peer->check_ms >= CHECK_LAST_MS) {
        peer->check_ms = 0;     /* it only left the server */
    } else {
        peer->check_ms *= 2;
    }
    return peer->check_ms;
}

static void live_timer_cb(void *opaque)
{
    IDTNTBState *s = opaque;
    unsigned again = s->server.lost ? SERVER_LOST_POLL_MS : 0;

    for (unsigned part = 0; part < s->nports; part++) {
        IDTNTBPeer *peer = &s->peer[part];

        if (part == s->part || !(peer->check_ms ||
                                 (s->server.lost && peer->attached))) {
            continue;
        }
        if (check_alive(s, part) && (!again || peer->check_ms < again)) {
            again = peer->check_ms;
        }
    }
    if (again) {
        arm_live_timer(s, again);
    }
}

void idt_ntb_link_client_gone(IDTNTBState *s, uint32_t id)
{
    bool known = false;

    for (unsigned part = 0; part < s->nports; part++) {
        IDTNTBPeer *peer = &s->peer[part];

        if (part != s->part && peer->attached && peer->ivshmem_id == id) {
            known = true;
            peer->check_ms = CHECK_FIRST_MS;
            arm_live_timer(s, 0);
        }
    }
    if (!known) {
        idt_ntb_server_forget(s, id);
    }
    /* A sender that died may have announced a kick and never sent it */
    idt_ntb_link_poll(s);
}

void idt_ntb_link_server_lost(IDTNTBState *s)
{
    s->flags |= IDT_NTB_SHM_F_SERVER_LOST;
    trace_idt_ntb_server_lost(s->part);
    idt_ntb_warn(s, "ivshmem-server is gone; links stay up, but no port can "
                 "join any more");
    if (s->own) {
        publish_levels(s);
        arm_live_timer(s, SERVER_LOST_POLL_MS);
    }
}

void idt_ntb_link_init(IDTNTBState *s)
{
    s->live_timer = timer_new_ms(QEMU_CLOCK_REALTIME, live_timer_cb, s);
    QLIST_INSERT_HEAD(&local_ports, s, next);
}

void idt_ntb_link_exit(IDTNTBState *s)
{
    if (s->own && s->attached) {
        idt_ntb_link_reset_enter(s);
        s->attached = false;
        qatomic_store_release(&s->own->state, IDT_NTB_SHM_FREE);
        kick_all(s);
    }
    for (unsigned part = 0; part < s->nports && s->own; part++) {
        if (part != s->part) {
            idt_ntb_ram_drop(s, part);
        }
    }
    if (s->live_timer) {
        QLIST_REMOVE(s, next);
        timer_free(s->live_timer);
        s->live_timer = NULL;
    }
}
