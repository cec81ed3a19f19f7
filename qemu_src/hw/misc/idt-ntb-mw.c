/*
 * IDT NTB port: memory windows
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
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/target_page.h"
#include "idt-ntb-int.h"
#include "trace.h"

#define BAR_SIZE_MIN    (16 * KiB)
#define BAR_SIZE_MAX    (1 * GiB)       /* the driver computes it in an int */

static const struct {
    const char *name;
    unsigned atran;             /* BARSETUP.ATRAN */
    unsigned entries;           /* of the lookup table; 0: one direct window */
    unsigned slots;             /* the BAR is divided into so many */
} modes[] = {
    { "direct", BARSETUP_ATRAN_DIRECT, 0, 1 },
    { "lut12", BARSETUP_ATRAN_LUT12, 12, 16 },
    { "lut24", BARSETUP_ATRAN_LUT24, 24, 32 },
};

/* Where a window leads, if anywhere */
typedef struct IDTNTBTranslation {
    unsigned part;
    uint64_t addr;
    uint64_t extent;            /* bytes; 0: nothing is translated */
} IDTNTBTranslation;

static uint64_t page_size(void)
{
    return MAX(qemu_real_host_page_size(), qemu_target_page_size());
}

/*
 * The slow path
 */

static IDTNTBWindow *window_at(IDTNTBWindowBar *bar, hwaddr addr)
{
    uint64_t n = addr / bar->aperture;

    return n < bar->nwindows ? &bar->s->win[bar->first + n] : NULL;
}

/* The peer's RAM behind [addr, addr + size) of a BAR, if it is in one piece */
static void *ram_behind(IDTNTBWindowBar *bar, hwaddr addr, unsigned size)
{
    IDTNTBWindow *w = window_at(bar, addr);
    uint64_t off = addr % bar->aperture;

    for (unsigned i = 0; w && i < w->npieces; i++) {
        const IDTNTBPiece *p = &w->piece[i];

        if (off >= p->off && off - p->off < p->len) {
            uint64_t at = off - p->off;

            if (size > p->len - at ||
                !idt_ntb_ram_holds(w->ram, p->file_off + at + size)) {
                return NULL;
            }
            return memory_region_get_ram_ptr(&w->ram->mr) + p->file_off + at;
        }
    }
    return NULL;
}

static uint64_t slow_read(void *opaque, hwaddr addr, unsigned size)
{
    IDTNTBWindowBar *bar = opaque;
    void *ram = ram_behind(bar, addr, size);
    uint64_t val = 0;

    IDT_NTB_COUNT(bar->s, win_trap);
    trace_idt_ntb_win_trap(bar->s->part, bar->num, addr, size, false);
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
    IDTNTBWindowBar *bar = opaque;
    void *ram = ram_behind(bar, addr, size);

    IDT_NTB_COUNT(bar->s, win_trap);
    trace_idt_ntb_win_trap(bar->s->part, bar->num, addr, size, true);
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

static bool setup_bar(IDTNTBState *s, unsigned i, Error **errp)
{
    IDTNTBWindowBar *bar = &s->wbar[i];
    uint64_t size = s->bar_size[i];
    unsigned m = 0;

    *bar = (IDTNTBWindowBar) { .s = s, .num = 2 + 2 * i, .first = s->nwindows };
    if (!strcmp(s->bar_mode[i], "off")) {
        return true;
    }
    while (m < ARRAY_SIZE(modes) && strcmp(s->bar_mode[i], modes[m].name)) {
        m++;
    }
    if (m == ARRAY_SIZE(modes)) {
        error_setg(errp, "bar%u-mode=%s is not known: it is direct, lut12, "
                   "lut24 or off", bar->num, s->bar_mode[i]);
        return false;
    }
    if (!is_power_of_2(size) || size < BAR_SIZE_MIN || size > BAR_SIZE_MAX) {
        error_setg(errp, "bar%u-size must be a power of two from 16K to 1G",
                   bar->num);
        return false;
    }
    bar->size = size;
    bar->lut_entries = modes[m].entries;
    bar->aperture = size / modes[m].slots;
    bar->nwindows = MAX(modes[m].entries, 1);
    if (bar->first + bar->nwindows > IDT_NTB_MAX_WINDOWS) {
        error_setg(errp, "bar2-mode and bar4-mode make %u windows, but the "
                   "driver takes %d at most", bar->first + bar->nwindows,
                   IDT_NTB_MAX_WINDOWS);
        return false;
    }
    for (unsigned n = 0; n < bar->nwindows; n++) {
        s->win[s->nwindows].bar = bar;
        s->win[s->nwindows++].entry = n;
    }
    s->cfg.barsetup[bar->num] = BARSETUP_EN | BARSETUP_PREF | BARSETUP_TYPE_64 |
                                modes[m].atran << BARSETUP_ATRAN_SHIFT |
                                ctz64(size) << BARSETUP_SIZE_SHIFT;
    return true;
}

bool idt_ntb_mw_setup(IDTNTBState *s, Error **errp)
{
    s->nwindows = 0;
    s->cfg.barsetup[0] = BARSETUP_EN | BARSETUP_MODE_CFG |
                         ctz32(IDT_NTB_CFG_SIZE) << BARSETUP_SIZE_SHIFT;
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        if (!setup_bar(s, i, errp)) {
            return false;
        }
    }
    return true;
}

void idt_ntb_mw_register(IDTNTBState *s)
{
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        IDTNTBWindowBar *bar = &s->wbar[i];

        if (bar->size) {
            memory_region_init_io(&bar->mr, OBJECT(s), &slow_ops, bar,
                                  "idt-ntb-window", bar->size);
            pci_register_bar(PCI_DEVICE(s), bar->num,
                             PCI_BASE_ADDRESS_SPACE_MEMORY |
                             PCI_BASE_ADDRESS_MEM_TYPE_64 |
                             PCI_BASE_ADDRESS_MEM_PREFETCH, &bar->mr);
        }
    }
}

/*
 * What is programmed
 */

/*
 * Bytes from the start of the BAR that are translated. The limit is a bus
 * address, exclusive; the part compares at 1 KiB, and drivers are known that
 * write the last byte instead.
 */
static uint64_t direct_extent(IDTNTBWindowBar *bar)
{
    IDTNTBState *s = bar->s;
    pcibus_t base = pci_get_bar_addr(PCI_DEVICE(s), bar->num);
    uint64_t limit = (uint64_t)s->bar[bar->num + 1].limit << 32 |
                     s->bar[bar->num].limit;

    if (base == PCI_BAR_UNMAPPED) {
        return 0;
    }
    if (limit > UINT64_MAX - BARLIMIT_GRANULE) {
        return bar->size;
    }
    limit = ROUND_UP(limit, BARLIMIT_GRANULE);
    return limit <= base ? 0 : MIN(limit - base, bar->size);
}

static IDTNTBTranslation translation_of(IDTNTBWindow *w)
{
    IDTNTBWindowBar *bar = w->bar;
    IDTNTBState *s = bar->s;
    IDTNTBTranslation t;

    if (bar->lut_entries) {
        const IDTNTBShmLut *lut = &s->lut[bar - s->wbar][w->entry];

        t.part = lut->upper & LUTUDATA_PART_MASK;
        t.addr = (uint64_t)lut->high << 32 | lut->low;
        t.extent = lut->upper & LUTUDATA_VALID ? bar->aperture : 0;
    } else {
        const IDTNTBBarRegs *regs = &s->bar[bar->num];

        t.part = (regs->setup & BARSETUP_TPART_MASK) >> BARSETUP_TPART_SHIFT;
        t.addr = (uint64_t)regs->utbase << 32 | regs->ltbase;
        t.extent = direct_extent(bar);
    }
    /* The peer's address space ends; no window wraps around to its start */
    if (t.addr && t.extent > -t.addr) {
        t.extent = -t.addr;
    }
    return t;
}

/*
 * x-mirror-mw: a window that nobody translated shows what the one of the same
 * size shows that was translated last.
 */
static IDTNTBTranslation mirrored(IDTNTBWindow *w)
{
    IDTNTBState *s = w->bar->s;
    IDTNTBTranslation latest = { 0 };
    uint64_t stamp = 0;

    for (unsigned i = 0; i < s->nwindows; i++) {
        IDTNTBWindow *other = &s->win[i];

        if (other != w && other->bar->aperture == w->bar->aperture &&
            other->programmed > stamp) {
            IDTNTBTranslation t = translation_of(other);

            if (t.extent) {
                stamp = other->programmed;
                latest = t;
            }
        }
    }
    return latest;
}

void idt_ntb_mw_programmed(IDTNTBState *s, const IDTNTBShmLut *entry)
{
    for (unsigned i = 0; i < s->nwindows; i++) {
        IDTNTBWindow *w = &s->win[i];

        if (w->bar->lut_entries &&
            entry == &s->lut[w->bar - s->wbar][w->entry]) {
            w->programmed = ++s->mw_stamp;
        }
    }
    idt_ntb_mw_update(s);
}

void idt_ntb_mw_bar_programmed(IDTNTBState *s, unsigned num)
{
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        IDTNTBWindowBar *bar = &s->wbar[i];

        /* The next BAR's registers hold the high half of a limit */
        if (bar->size && !bar->lut_entries &&
            (bar->num == num || bar->num + 1 == num)) {
            s->win[bar->first].programmed = ++s->mw_stamp;
        }
    }
    idt_ntb_mw_update(s);
}

/*
 * What is reached
 */

/* Can this port send memory requests into the switch? */
static bool may_send(IDTNTBState *s)
{
    return s->linkup && (idt_ntb_pcicmd(s) & PCI_COMMAND_MASTER) &&
           (s->ntctl & NTCTL_CPEN) &&
           ((s->mtbl & NTMTBLDATA_VALID) || (s->ntctl & NTCTL_IDPROTDIS));
}

/*
 * What of a translation lies in one RAM segment of the peer: whole pages that
 * can be mapped, and a rest that is copied. A peer's RAM file is mapped whole,
 * so both stay inside it.
 */
static unsigned plan_segment(const IDTNTBWindow *w, const IDTNTBTranslation *t,
                             const IDTNTBShmSeg *seg, IDTNTBPiece *pieces)
{
    uint64_t lo = MAX(t->addr, seg->gpa);
    uint64_t last = MIN(t->addr + t->extent - 1, seg->gpa + seg->len - 1);
    uint64_t in_bar = w->entry * w->bar->aperture;
    uint64_t len, mapped;
    IDTNTBPiece p;
    unsigned n = 0;

    if (lo > last) {
        return 0;
    }
    len = last - lo + 1;
    p = (IDTNTBPiece) {
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
static IDTNTBPeerRam *plan_window(IDTNTBWindow *w, IDTNTBPiece *pieces,
                                  unsigned *npieces)
{
    IDTNTBState *s = w->bar->s;
    IDTNTBTranslation t = translation_of(w);
    IDTNTBPeer *peer;

    *npieces = 0;
    if (!t.extent && s->mirror_mw) {
        t = mirrored(w);
    }
    if (!t.extent || !may_send(s) || !idt_ntb_is_peer(s, t.part) ||
        !idt_ntb_peer_admits(s, t.part)) {
        return NULL;
    }
    peer = &s->peer[t.part];
    if (!peer->ram) {
        return NULL;
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

static void unmap_window(IDTNTBWindow *w)
{
    IDTNTBState *s = w->bar->s;

    for (unsigned i = 0; i < w->naliases; i++) {
        memory_region_del_subregion(&w->bar->mr, &w->alias[i]);
        object_unparent(OBJECT(&w->alias[i]));
    }
    trace_idt_ntb_win_close(s->part, w - s->win);
    IDT_NTB_COUNT(s, win_unmap);
    w->npieces = w->naliases = 0;
    object_unref(OBJECT(w->ram));
    w->ram = NULL;
}

static void map_window(IDTNTBWindow *w, IDTNTBPeerRam *ram,
                       const IDTNTBPiece *pieces, unsigned npieces)
{
    IDTNTBState *s = w->bar->s;
    uint64_t in_bar = w->entry * w->bar->aperture;

    for (unsigned i = 0; i < npieces; i++) {
        const IDTNTBPiece *p = &pieces[i];

        w->piece[i] = *p;
        trace_idt_ntb_win_open(s->part, w - s->win, p->off, p->file_off, p->len,
                               p->trapped);
        if (!p->trapped) {
            MemoryRegion *alias = &w->alias[w->naliases++];

            memory_region_init_alias(alias, OBJECT(s), "idt-ntb-open", &ram->mr,
                                     p->file_off, p->len);
            memory_region_add_subregion_overlap(&w->bar->mr, in_bar + p->off,
                                                alias, 1);
        }
    }
    IDT_NTB_COUNT(s, win_map);
    w->npieces = npieces;
    w->ram = ram;
    object_ref(OBJECT(ram));
}

static bool same_pieces(const IDTNTBPiece *a, const IDTNTBPiece *b, unsigned n)
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
static bool update_window(IDTNTBWindow *w)
{
    IDTNTBPiece pieces[IDT_NTB_MAX_PIECES];
    unsigned npieces;
    IDTNTBPeerRam *ram = plan_window(w, pieces, &npieces);
    bool closed = w->naliases;

    if (ram == w->ram && npieces == w->npieces &&
        same_pieces(pieces, w->piece, npieces)) {
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

    memory_region_transaction_begin();
    for (unsigned i = 0; i < s->nwindows; i++) {
        closed |= update_window(&s->win[i]);
    }
    memory_region_transaction_commit();
    if (closed) {
        idt_ntb_quiesce_flush_vcpus(s);
    }
}

void idt_ntb_mw_close_all(IDTNTBState *s)
{
    for (unsigned i = 0; i < s->nwindows; i++) {
        if (s->win[i].npieces) {
            unmap_window(&s->win[i]);
        }
    }
}

/* Never more than a mask has bits, which compilers do not see by themselves */
static unsigned count(const IDTNTBState *s)
{
    return MIN(s->nwindows, IDT_NTB_MAX_WINDOWS);
}

/* Numbered as the driver numbers windows: in BAR order, without gaps */
uint32_t idt_ntb_mw_open_mask(const IDTNTBState *s)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < count(s); i++) {
        mask |= (s->win[i].npieces ? 1u : 0) << i;
    }
    return mask;
}

uint32_t idt_ntb_mw_trapped_mask(const IDTNTBState *s)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < count(s); i++) {
        const IDTNTBWindow *w = &s->win[i];

        for (unsigned n = 0; n < w->npieces; n++) {
            mask |= (w->piece[n].trapped ? 1u : 0) << i;
        }
    }
    return mask;
}
