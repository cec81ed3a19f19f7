/*
 * NTB port: the flight recorder
 *
 * A ring has a lane for what this guest programs, one for its traffic, and one
 * for what the other ports cause. In the last, events of a kind are folded into
 * one entry until this port does something itself; so peers can push out only
 * what they have caused, and that only as fast as this port acts.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-record.h"

#define QUARTER         (NTB_SHM_RING_ENTRIES / 4)
#define FIRST_TRAFFIC   32
#define FIRST_PEERS     64

/* More than any port ever writes: only a broken ring has it */
#define MOST_WRITTEN    (1ull << 56)

static const struct {
    unsigned first, size;
} lanes[NTB_SHM_LANES] = {
    [NTB_SHM_LANE_CONTROL] = { 0, QUARTER },
    [NTB_SHM_LANE_TRAFFIC] = { QUARTER, 2 * QUARTER },
    [NTB_SHM_LANE_PEERS] = { 3 * QUARTER, QUARTER },
};

static unsigned lane_of(const NTBRecorder *r, uint32_t kind)
{
    if (r->peers || kind >= FIRST_PEERS) {
        return NTB_SHM_LANE_PEERS;
    }
    return kind >= FIRST_TRAFFIC ? NTB_SHM_LANE_TRAFFIC : NTB_SHM_LANE_CONTROL;
}

/* Entry @n of a lane */
static NTBShmEvent *entry(const NTBRecorder *r, unsigned lane, uint64_t n)
{
    NTBShmEvent *entries = (void *)r->ring + NTB_SHM_RING_FIRST;

    return &entries[lanes[lane].first + n % lanes[lane].size];
}

/* Nobody takes an entry for whole while its number is away */
static void open_entry(NTBShmEvent *e)
{
    ntb_shm_set64(&e->seq, 0);
    smp_wmb();                  /* first it has no number, then it changes */
}

static void close_entry(NTBShmEvent *e, uint64_t n)
{
    smp_wmb();                  /* the number says that all else is there */
    ntb_shm_set64(&e->seq, n + 1);
}

static uint64_t append(NTBRecorder *r, unsigned lane, const NTBShmEvent *event)
{
    uint64_t n = r->written[lane]++;
    NTBShmEvent *e = entry(r, lane, n);

    open_entry(e);
    e->first_ns = event->first_ns;
    e->last_ns = event->last_ns;
    e->count = 1;
    e->kind = event->kind;
    e->peer = event->peer;
    e->num = event->num;
    e->a = event->a;
    e->b = event->b;
    close_entry(e, n);
    ntb_shm_set64(&r->ring->written[lane], n + 1);
    return n;
}

/* So much has this port done itself */
static uint64_t own_deeds(const NTBRecorder *r)
{
    return r->written[NTB_SHM_LANE_CONTROL] + r->written[NTB_SHM_LANE_TRAFFIC];
}

static NTBFold *find_fold(NTBRecorder *r, const NTBShmEvent *event)
{
    for (unsigned i = 0; i < ARRAY_SIZE(r->folds); i++) {
        NTBFold *f = &r->folds[i];

        if (f->kind == event->kind && f->peer == event->peer &&
            f->num == event->num) {
            return f;
        }
    }
    return NULL;
}

static bool is_open(const NTBRecorder *r, const NTBFold *f)
{
    return f->deeds == own_deeds(r) &&
           r->written[NTB_SHM_LANE_PEERS] - f->n <=
           lanes[NTB_SHM_LANE_PEERS].size;
}

/* Doorbells add up as they do in the register; else the last one is shown */
static void fold_into(NTBRecorder *r, NTBFold *f, const NTBShmEvent *event)
{
    NTBShmEvent *e = entry(r, NTB_SHM_LANE_PEERS, f->n);

    open_entry(e);
    f->count += f->count < UINT32_MAX;
    f->a = event->kind == NTB_SHM_EV_DB_IN ? f->a | event->a : event->a;
    e->count = f->count;
    e->a = f->a;
    e->b = event->b;
    e->last_ns = event->last_ns;
    close_entry(e, f->n);
}

static void record_peers(NTBRecorder *r, const NTBShmEvent *event)
{
    NTBFold *f = find_fold(r, event);

    if (f && is_open(r, f)) {
        fold_into(r, f, event);
        return;
    }
    if (!f) {
        f = &r->folds[r->next_fold++ % ARRAY_SIZE(r->folds)];
    }
    *f = (NTBFold) {
        .kind = event->kind, .peer = event->peer, .num = event->num,
        .count = 1, .a = event->a, .deeds = own_deeds(r),
        .n = append(r, NTB_SHM_LANE_PEERS, event),
    };
}

void ntb_record(NTBPort *s, uint32_t kind, uint32_t peer, uint32_t num,
                uint64_t a, uint64_t b)
{
    NTBRecorder *r = &s->recorder;
    uint64_t now;
    NTBShmEvent event;
    unsigned lane;

    if (!r->ring) {
        return;
    }
    now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    event = (NTBShmEvent) {
        .first_ns = now, .last_ns = now, .kind = kind, .peer = peer,
        .num = num, .a = a, .b = b,
    };
    lane = lane_of(r, kind);
    if (lane == NTB_SHM_LANE_PEERS) {
        record_peers(r, &event);
    } else {
        append(r, lane, &event);
    }
}

void ntb_record_level(NTBPort *s, uint32_t kind, bool *shown, bool level)
{
    if (*shown != level) {
        *shown = level;
        ntb_record(s, kind, NTB_SHM_NOBODY, level, 0, 0);
    }
}

bool ntb_record_peers(NTBPort *s)
{
    bool before = s->recorder.peers;

    s->recorder.peers = true;
    return before;
}

void ntb_record_own(NTBPort *s, bool before)
{
    s->recorder.peers = before;
}

/* What the port's last owner has written stays readable */
void ntb_record_start(NTBPort *s)
{
    NTBRecorder *r = &s->recorder;
    NTBShmRing *ring = ntb_shm_ring(&s->shm, s->part);

    *r = (NTBRecorder) { .on = r->on, .peers = r->peers };
    if (!ring) {
        return;
    }
    qatomic_set(&ring->recording, r->on);
    if (!r->on) {
        return;
    }
    r->ring = ring;
    for (unsigned lane = 0; lane < NTB_SHM_LANES; lane++) {
        uint64_t written = ntb_shm_get64(&ring->written[lane]);

        r->written[lane] = written < MOST_WRITTEN ? written : 0;
    }
    ntb_shm_set64(&ring->mono_ns, qemu_clock_get_ns(QEMU_CLOCK_REALTIME));
    ntb_shm_set64(&ring->real_ns, g_get_real_time() * 1000);
    ntb_record(s, NTB_SHM_EV_JOIN, NTB_SHM_NOBODY, 0, getpid(), 0);
}

void ntb_record_stop(NTBPort *s)
{
    NTBRecorder *r = &s->recorder;

    if (r->ring) {
        qatomic_set(&r->ring->recording, 0);
        r->ring = NULL;
    }
}
