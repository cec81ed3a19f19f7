/*
 * IDT NTB port: memory windows
 *
 * An open window is an alias of the peer's RAM inside the BAR, so that accesses
 * run at memory speed and never leave the guest. Everything else in the BAR
 * answers like a switch that has nowhere to send a request.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/target_page.h"
#include "idt-ntb-int.h"
#include "trace.h"

#define BAR_SIZE_MIN    (16 * KiB)
#define BAR_SIZE_MAX    (1 * GiB)       /* the driver computes it in an int */

static uint64_t closed_read(void *opaque, hwaddr addr, unsigned size)
{
    IDTNTBWindow *w = opaque;

    IDT_NTB_COUNT(w->s, win_trap);
    trace_idt_ntb_win_trap(w->s->part, w->bar, addr, size, false);
    return ~0ull;
}

static void closed_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    IDTNTBWindow *w = opaque;

    IDT_NTB_COUNT(w->s, win_trap);
    trace_idt_ntb_win_trap(w->s->part, w->bar, addr, size, true);
}

static const MemoryRegionOps closed_ops = {
    .read = closed_read,
    .write = closed_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static bool setup_window(IDTNTBState *s, unsigned i, Error **errp)
{
    IDTNTBWindow *w = &s->win[i];
    const char *mode = s->bar_mode[i];
    uint64_t size = s->bar_size[i];
    bool may_be_direct = i == 0;

    w->s = s;
    w->bar = 2 + 2 * i;
    if (!strcmp(mode, "off")) {
        return true;
    }
    if (strcmp(mode, "direct") || !may_be_direct) {
        error_setg(errp, "bar%u-mode=%s is not supported: only %s", w->bar,
                   mode, may_be_direct ? "direct and off" : "off");
        return false;
    }
    if (!is_power_of_2(size) || size < BAR_SIZE_MIN || size > BAR_SIZE_MAX) {
        error_setg(errp, "bar%u-size must be a power of two from 16K to 1G",
                   w->bar);
        return false;
    }
    w->size = size;
    s->cfg.barsetup[w->bar] = BARSETUP_EN | BARSETUP_PREF | BARSETUP_TYPE_64 |
                              ctz64(size) << BARSETUP_SIZE_SHIFT;
    return true;
}

bool idt_ntb_mw_setup(IDTNTBState *s, Error **errp)
{
    s->cfg.barsetup[0] = BARSETUP_EN | BARSETUP_MODE_CFG |
                         ctz32(IDT_NTB_CFG_SIZE) << BARSETUP_SIZE_SHIFT;
    for (unsigned i = 0; i < IDT_NTB_WINDOWS; i++) {
        if (!setup_window(s, i, errp)) {
            return false;
        }
    }
    return true;
}

void idt_ntb_mw_register(IDTNTBState *s)
{
    for (unsigned i = 0; i < IDT_NTB_WINDOWS; i++) {
        IDTNTBWindow *w = &s->win[i];

        if (w->size) {
            memory_region_init_io(&w->mr, OBJECT(s), &closed_ops, w,
                                  "idt-ntb-window", w->size);
            pci_register_bar(PCI_DEVICE(s), w->bar,
                             PCI_BASE_ADDRESS_SPACE_MEMORY |
                             PCI_BASE_ADDRESS_MEM_TYPE_64 |
                             PCI_BASE_ADDRESS_MEM_PREFETCH, &w->mr);
        }
    }
}

/*
 * Bytes from the start of the BAR that are translated. The limit is a bus
 * address, exclusive; the part compares at 1 KiB, and drivers are known that
 * write the last byte instead.
 */
static uint64_t window_extent(IDTNTBWindow *w)
{
    IDTNTBState *s = w->s;
    pcibus_t base = pci_get_bar_addr(PCI_DEVICE(s), w->bar);
    uint64_t limit = (uint64_t)s->bar[w->bar + 1].limit << 32 |
                     s->bar[w->bar].limit;

    if (base == PCI_BAR_UNMAPPED) {
        return 0;
    }
    if (limit > UINT64_MAX - BARLIMIT_GRANULE) {
        return w->size;
    }
    limit = ROUND_UP(limit, BARLIMIT_GRANULE);
    return limit <= base ? 0 : MIN(limit - base, w->size);
}

/* Can this port send memory requests into the switch? */
static bool may_send(IDTNTBState *s)
{
    return s->linkup && (idt_ntb_pcicmd(s) & PCI_COMMAND_MASTER) &&
           (s->ntctl & NTCTL_CPEN) &&
           ((s->mtbl & NTMTBLDATA_VALID) || (s->ntctl & NTCTL_IDPROTDIS));
}

static void log_unaligned(IDTNTBState *s, unsigned bar, uint64_t trans)
{
    if (!s->unimp_logged) {
        s->unimp_logged = true;
        qemu_log_mask(LOG_UNIMP, "idt-ntb: window of BAR%u to 0x%" PRIx64 ": "
                      "parts that are not whole pages are not implemented and "
                      "stay closed\n", bar, trans);
    }
}

/* What of [trans, trans + extent) lies in one RAM segment of the peer */
static bool plan_piece(IDTNTBState *s, IDTNTBWindow *w, uint64_t trans,
                       uint64_t extent, const IDTNTBShmSeg *seg,
                       IDTNTBPiece *piece)
{
    uint64_t page = MAX(qemu_real_host_page_size(), qemu_target_page_size());
    uint64_t lo = MAX(trans, seg->gpa);
    uint64_t last = MIN(trans + extent - 1, seg->gpa + seg->len - 1);
    uint64_t len;

    if (lo > last) {
        return false;
    }
    len = last - lo + 1;
    *piece = (IDTNTBPiece) {
        .bar_off = lo - trans,
        .file_off = seg->off + (lo - seg->gpa),
        .len = QEMU_ALIGN_DOWN(len, page),
    };
    if (!QEMU_IS_ALIGNED(piece->bar_off | piece->file_off, page)) {
        piece->len = 0;
    }
    if (piece->len != len) {
        log_unaligned(s, w->bar, trans);
    }
    return piece->len;
}

/* What window @w should reach now: its target, and pieces of its RAM file */
static IDTNTBPeerRam *plan_window(IDTNTBWindow *w, IDTNTBPiece *pieces,
                                  unsigned *npieces)
{
    IDTNTBState *s = w->s;
    const IDTNTBBarRegs *bar = &s->bar[w->bar];
    unsigned part = (bar->setup & BARSETUP_TPART_MASK) >> BARSETUP_TPART_SHIFT;
    uint64_t trans = (uint64_t)bar->utbase << 32 | bar->ltbase;
    uint64_t extent = window_extent(w);
    IDTNTBPeer *peer;

    *npieces = 0;
    if (!extent || !may_send(s) || !idt_ntb_is_peer(s, part) ||
        !idt_ntb_peer_admits(s, part)) {
        return NULL;
    }
    peer = &s->peer[part];
    if (!peer->ram) {
        return NULL;
    }
    /* The peer's address space ends; no window wraps around to its start */
    if (trans && extent > -trans) {
        extent = -trans;
    }
    for (uint32_t i = 0; i < peer->table.nseg; i++) {
        if (plan_piece(s, w, trans, extent, &peer->table.seg[i],
                       &pieces[*npieces])) {
            (*npieces)++;
        }
    }
    return *npieces ? peer->ram : NULL;
}

static void unmap_window(IDTNTBWindow *w)
{
    for (unsigned i = 0; i < w->npieces; i++) {
        memory_region_del_subregion(&w->mr, &w->alias[i]);
        object_unparent(OBJECT(&w->alias[i]));
    }
    trace_idt_ntb_win_close(w->s->part, w->bar);
    IDT_NTB_COUNT(w->s, win_unmap);
    w->npieces = 0;
    object_unref(OBJECT(w->ram));
    w->ram = NULL;
}

static void map_window(IDTNTBWindow *w, IDTNTBPeerRam *ram,
                       const IDTNTBPiece *pieces, unsigned npieces)
{
    for (unsigned i = 0; i < npieces; i++) {
        w->piece[i] = pieces[i];
        memory_region_init_alias(&w->alias[i], OBJECT(w->s), "idt-ntb-open",
                                 &ram->mr, pieces[i].file_off, pieces[i].len);
        memory_region_add_subregion_overlap(&w->mr, pieces[i].bar_off,
                                            &w->alias[i], 1);
        trace_idt_ntb_win_open(w->s->part, w->bar, pieces[i].bar_off,
                               pieces[i].file_off, pieces[i].len);
    }
    IDT_NTB_COUNT(w->s, win_map);
    w->npieces = npieces;
    w->ram = ram;
    object_ref(OBJECT(ram));
}

/* True if something that was open no longer is */
static bool update_window(IDTNTBWindow *w)
{
    IDTNTBPiece pieces[IDT_NTB_SHM_MAX_SEGS];
    unsigned npieces;
    IDTNTBPeerRam *ram = plan_window(w, pieces, &npieces);
    bool closed = w->npieces;

    if (ram == w->ram && npieces == w->npieces &&
        !memcmp(pieces, w->piece, npieces * sizeof(pieces[0]))) {
        return false;           /* a guest that repeats itself pays alone */
    }
    memory_region_transaction_begin();
    if (w->npieces) {
        unmap_window(w);
    }
    if (npieces) {
        map_window(w, ram, pieces, npieces);
    }
    memory_region_transaction_commit();
    return closed;
}

void idt_ntb_mw_update(IDTNTBState *s)
{
    bool closed = false;

    for (unsigned i = 0; i < IDT_NTB_WINDOWS; i++) {
        if (s->win[i].size) {
            closed |= update_window(&s->win[i]);
        }
    }
    if (closed) {
        idt_ntb_quiesce_flush_vcpus(s);
    }
}

void idt_ntb_mw_close_all(IDTNTBState *s)
{
    for (unsigned i = 0; i < IDT_NTB_WINDOWS; i++) {
        if (s->win[i].npieces) {
            unmap_window(&s->win[i]);
        }
    }
}

/* Numbered as the driver numbers windows: in BAR order, without gaps */
uint32_t idt_ntb_mw_open_mask(const IDTNTBState *s)
{
    uint32_t mask = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < IDT_NTB_WINDOWS; i++) {
        if (s->win[i].size) {
            mask |= (s->win[i].npieces ? 1u : 0) << n++;
        }
    }
    return mask;
}
