/*
 * NTB port: memory windows
 *
 * An open window is made of aliases of the peer's RAM inside the BAR, so that
 * accesses run at memory speed and never leave the guest. Where no whole page
 * can be mapped, the BAR itself copies each access; everywhere else it answers
 * like a switch that has nowhere to send a request.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "exec/target_page.h"
#include "ntb-ack.h"
#include "ntb-peer.h"
#include "ntb-ram.h"
#include "ntb-record.h"
#include "ntb-window.h"
#include "trace.h"

static uint64_t page_size(void)
{
    return MAX(qemu_real_host_page_size(), qemu_target_page_size());
}

/*
 * The slow path
 */

static NTBWindow *window_at(NTBWindowBar *bar, hwaddr addr)
{
    uint64_t n = addr / bar->aperture;

    return n < bar->nwindows ? &bar->s->win[bar->first + n] : NULL;
}

/* The peer's RAM behind [addr, addr + size) of a BAR, if it is in one piece */
static void *ram_behind(NTBWindowBar *bar, hwaddr addr, unsigned size)
{
    NTBWindow *w = window_at(bar, addr);
    uint64_t off = addr % bar->aperture;

    for (unsigned i = 0; w && i < w->npieces; i++) {
        const NTBPiece *p = &w->piece[i];

        if (off >= p->off && off - p->off < p->len) {
            uint64_t at = off - p->off;

            if (size > p->len - at ||
                !ntb_ram_holds(w->ram, p->file_off + at + size)) {
                return NULL;
            }
            return memory_region_get_ram_ptr(&w->ram->mr) + p->file_off + at;
        }
    }
    return NULL;
}

static uint64_t slow_read(void *opaque, hwaddr addr, unsigned size)
{
    NTBWindowBar *bar = opaque;
    void *ram = ram_behind(bar, addr, size);
    uint64_t val = 0;

    NTB_COUNT(bar->s, win_trap);
    trace_ntb_win_trap(bar->s->part, bar->num, addr, size, false);
    if (ram) {
        return ldn_le_p(ram, size);
    }
    for (unsigned i = 0; i < size; i++) {
        ram = ram_behind(bar, addr + i, 1);
        val |= (ram ? ldub_p(ram) : 0xffull) << (8 * i);
    }
    return val;
}

static void slow_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    NTBWindowBar *bar = opaque;
    void *ram = ram_behind(bar, addr, size);

    NTB_COUNT(bar->s, win_trap);
    trace_ntb_win_trap(bar->s->part, bar->num, addr, size, true);
    if (ram) {
        stn_le_p(ram, size, val);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        ram = ram_behind(bar, addr + i, 1);
        if (ram) {
            stb_p(ram, val >> (8 * i));
        }
    }
}

static const MemoryRegionOps slow_ops = {
    .read = slow_read,
    .write = slow_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/*
 * Setting up
 */

NTBWindowBar *ntb_window_add_bar(NTBPort *s, unsigned num, uint64_t size,
                                 unsigned slots, unsigned n)
{
    NTBWindowBar *bar = &s->wbar[s->nbars];

    assert(s->nbars < NTB_MAX_WINDOW_BARS);
    assert(n <= slots && s->nwindows + n <= NTB_MAX_WINDOWS);
    s->nbars++;
    *bar = (NTBWindowBar) {
        .s = s, .num = num, .size = size, .aperture = size / slots,
        .first = s->nwindows, .nwindows = n,
    };
    for (unsigned entry = 0; entry < n; entry++) {
        s->win[s->nwindows].bar = bar;
        s->win[s->nwindows++].entry = entry;
    }
    return bar;
}

void ntb_window_init(NTBPort *s)
{
    for (unsigned i = 0; i < s->nbars; i++) {
        NTBWindowBar *bar = &s->wbar[i];

        memory_region_init_io(&bar->mr, s->owner, &slow_ops, bar, "ntb-window",
                              bar->size);
    }
}

/*
 * What is reached
 */

/*
 * What of a translation lies in one RAM segment of the peer: whole pages that
 * can be mapped, and a rest that is copied. A peer's RAM file is mapped whole,
 * so both stay inside it.
 */
static unsigned plan_segment(const NTBWindow *w, const NTBTranslation *t,
                             const NTBShmSeg *seg, NTBPiece *pieces)
{
    uint64_t lo = MAX(t->addr, seg->gpa);
    uint64_t last = MIN(t->addr + t->extent - 1, seg->gpa + seg->len - 1);
    uint64_t in_bar = w->entry * w->bar->aperture;
    uint64_t len, mapped;
    NTBPiece p;
    unsigned n = 0;

    if (lo > last) {
        return 0;
    }
    len = last - lo + 1;
    p = (NTBPiece) {
        .off = lo - t->addr,
        .file_off = seg->off + (lo - seg->gpa),
    };
    mapped = QEMU_IS_ALIGNED((in_bar + p.off) | p.file_off, page_size()) ?
             QEMU_ALIGN_DOWN(len, page_size()) : 0;
    if (mapped) {
        p.len = mapped;
        pieces[n++] = p;
    }
    if (mapped < len) {
        p.off += mapped;
        p.file_off += mapped;
        p.len = len - mapped;
        p.trapped = true;
        pieces[n++] = p;
    }
    return n;
}

/* What window @w should reach now: its target, and pieces of its RAM file */
static NTBPeerRam *plan_window(NTBPort *s, NTBWindow *w, NTBPiece *pieces,
                               unsigned *npieces)
{
    NTBTranslation t = s->ops->translation(s, w - s->win);
    NTBPeer *peer;

    *npieces = 0;
    if (!t.extent || !s->linkup || !s->ops->may_send(s) ||
        !ntb_is_peer(s, t.part) || !ntb_peer_admits(s, t.part)) {
        return NULL;
    }
    peer = &s->peer[t.part];
    if (!peer->ram) {
        return NULL;
    }
    /* The peer's address space ends; no window wraps around to its start */
    if (t.addr && t.extent > -t.addr) {
        t.extent = -t.addr;
    }
    for (uint32_t i = 0; i < peer->table.nseg; i++) {
        *npieces += plan_segment(w, &t, &peer->table.seg[i],
                                 &pieces[*npieces]);
    }
    return *npieces ? peer->ram : NULL;
}

/*
 * Mapping it
 */

/* What keeps @w from being open; there is always something */
static uint32_t why_closed(NTBPort *s, NTBWindow *w)
{
    NTBTranslation t = s->ops->translation(s, w - s->win);

    if (!s->linkup) {
        return NTB_SHM_CLOSE_OWN_LINK;
    }
    if (!t.extent) {
        return NTB_SHM_CLOSE_NOWHERE;
    }
    if (!s->ops->may_send(s)) {
        return NTB_SHM_CLOSE_NO_SENDER;
    }
    if (!ntb_is_peer(s, t.part) || !ntb_peer_admits(s, t.part)) {
        return NTB_SHM_CLOSE_PEER;
    }
    return NTB_SHM_CLOSE_RAM;
}

static void record_close(NTBPort *s, NTBWindow *w, bool moved)
{
    ntb_record(s, NTB_SHM_EV_WINDOW_CLOSE, NTB_SHM_NOBODY, w - s->win,
               moved ? NTB_SHM_CLOSE_MOVED : why_closed(s, w), 0);
}

static void record_open(NTBPort *s, NTBWindow *w)
{
    NTBTranslation t = s->ops->translation(s, w - s->win);
    uint32_t trapped = 0;
    uint64_t reached = 0;

    for (unsigned i = 0; i < w->npieces; i++) {
        reached += w->piece[i].len;
        trapped |= w->piece[i].trapped ? NTB_SHM_EV_TRAPPED : 0;
    }
    ntb_record(s, NTB_SHM_EV_WINDOW_OPEN, t.part, (w - s->win) | trapped,
               t.addr, reached);
}

void ntb_window_record(NTBPort *s, unsigned window)
{
    NTBWindow *w = &s->win[window];
    NTBTranslation t = s->ops->translation(s, window);

    if (t.part != w->recorded.part || t.addr != w->recorded.addr ||
        t.extent != w->recorded.extent) {
        w->recorded = t;
        ntb_record(s, NTB_SHM_EV_TRANSLATION, t.part, window, t.addr,
                   t.extent);
    }
}

static void unmap_window(NTBWindow *w)
{
    NTBPort *s = w->bar->s;

    for (unsigned i = 0; i < w->naliases; i++) {
        memory_region_del_subregion(&w->bar->mr, &w->alias[i]);
        object_unparent(OBJECT(&w->alias[i]));
    }
    trace_ntb_win_close(s->part, w - s->win);
    NTB_COUNT(s, win_unmap);
    w->npieces = w->naliases = 0;
    object_unref(OBJECT(w->ram));
    w->ram = NULL;
}

static void map_window(NTBWindow *w, NTBPeerRam *ram,
                       const NTBPiece *pieces, unsigned npieces)
{
    NTBPort *s = w->bar->s;
    uint64_t in_bar = w->entry * w->bar->aperture;

    for (unsigned i = 0; i < npieces; i++) {
        const NTBPiece *p = &pieces[i];

        w->piece[i] = *p;
        trace_ntb_win_open(s->part, w - s->win, p->off, p->file_off, p->len,
                           p->trapped);
        if (!p->trapped) {
            MemoryRegion *alias = &w->alias[w->naliases++];

            memory_region_init_alias(alias, s->owner, "ntb-open", &ram->mr,
                                     p->file_off, p->len);
            memory_region_add_subregion_overlap(&w->bar->mr, in_bar + p->off,
                                                alias, 1);
        }
    }
    NTB_COUNT(s, win_map);
    w->npieces = npieces;
    w->ram = ram;
    object_ref(OBJECT(ram));
}

static bool same_pieces(const NTBPiece *a, const NTBPiece *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (a[i].off != b[i].off || a[i].file_off != b[i].file_off ||
            a[i].len != b[i].len || a[i].trapped != b[i].trapped) {
            return false;
        }
    }
    return true;
}

/* True if something that was mapped no longer is */
static bool update_window(NTBWindow *w)
{
    NTBPiece pieces[NTB_MAX_PIECES];
    unsigned npieces;
    NTBPeerRam *ram = plan_window(w->bar->s, w, pieces, &npieces);
    bool closed = w->naliases;

    if (ram == w->ram && npieces == w->npieces &&
        same_pieces(pieces, w->piece, npieces)) {
        return false;           /* a guest that repeats itself pays alone */
    }
    memory_region_transaction_begin();
    if (w->npieces) {
        unmap_window(w);
        record_close(w->bar->s, w, npieces);
    }
    if (npieces) {
        map_window(w, ram, pieces, npieces);
        record_open(w->bar->s, w);
    }
    memory_region_transaction_commit();
    return closed;
}

/* Numbered as the driver numbers windows: in BAR order, without gaps */
static void show(NTBPort *s)
{
    uint32_t open = 0, trapped = 0;

    for (unsigned i = 0; i < s->nwindows; i++) {
        const NTBWindow *w = &s->win[i];

        open |= (w->npieces ? 1u : 0) << i;
        for (unsigned n = 0; n < w->npieces; n++) {
            trapped |= (w->piece[n].trapped ? 1u : 0) << i;
        }
    }
    ntb_shm_show(&s->own->mw_open, open);
    ntb_shm_show(&s->own->mw_trapped, trapped);
}

void ntb_window_update(NTBPort *s)
{
    bool closed = false;

    memory_region_transaction_begin();
    for (unsigned i = 0; i < s->nwindows; i++) {
        closed |= update_window(&s->win[i]);
    }
    memory_region_transaction_commit();
    if (s->own) {
        show(s);
    }
    if (closed) {
        ntb_ack_flush_vcpus(s);
    }
}

void ntb_window_close_all(NTBPort *s)
{
    for (unsigned i = 0; i < s->nwindows; i++) {
        if (s->win[i].npieces) {
            unmap_window(&s->win[i]);
        }
    }
}
