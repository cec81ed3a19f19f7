/*
 * EPF NTB port: translations, our own and the peer's
 *
 * A port says where the *peer's* windows lead in its own guest's memory: the
 * driver chooses the buffer that the other side may write to.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "epf-ntb-mw.h"
#include "ntb-record.h"
#include "ntb-window.h"
#include "trace.h"

#define WINDOW_MIN      (64 * KiB)
#define WINDOW_MAX      (64 * MiB)      /* Linux allocates a window whole */
#define ALIGNMENT       4096

/* A writer interrupted in the middle of it must not hang the peer */
#define SEQ_RETRIES     64

bool epf_ntb_mw_setup(EPFNTBState *s, Error **errp)
{
    for (unsigned i = 0; i < EPF_NTB_WINDOWS; i++) {
        unsigned num = EPF_NTB_FIRST_WINDOW_BAR + i;
        uint64_t size = s->mw_size[i];

        if (!is_power_of_2(size) || size < WINDOW_MIN || size > WINDOW_MAX) {
            error_setg(errp, "mw%u-size must be a power of two from 64K to 64M",
                       i);
            return false;
        }
        ntb_window_add_bar(&s->port, num, size, 1, 1);
        s->port.cfg.barsetup[num] = ctz64(size);
    }
    return true;
}

/* No 64-bit ones: the driver finds the next window in the next BAR */
void epf_ntb_mw_register(EPFNTBState *s)
{
    ntb_window_init(&s->port);
    for (unsigned i = 0; i < s->port.nbars; i++) {
        NTBWindowBar *bar = &s->port.wbar[i];

        pci_register_bar(PCI_DEVICE(s), bar->num,
                         PCI_BASE_ADDRESS_SPACE_MEMORY |
                         PCI_BASE_ADDRESS_MEM_PREFETCH, &bar->mr);
    }
}

/* 0, or why the hardware would not take it */
static uint32_t objection(const EPFNTBState *s, unsigned n, uint64_t addr,
                          uint64_t size)
{
    if (!size || size > s->mw_size[n]) {
        return EPF_NTB_SHM_BAD_SIZE;
    }
    if (addr % ALIGNMENT) {
        return EPF_NTB_SHM_BAD_ALIGN;
    }
    return size - 1 > UINT64_MAX - addr ? EPF_NTB_SHM_BAD_WRAP : 0;
}

bool epf_ntb_mw_set(EPFNTBState *s, unsigned n, uint64_t addr, uint64_t size)
{
    uint32_t reason = objection(s, n, addr, size);

    s->mw[n] = (EPFNTBMw) {
        .addr = addr, .size = size, .reason = reason,
        .state = reason ? EPF_NTB_SHM_MW_REFUSED : EPF_NTB_SHM_MW_SET,
    };
    trace_epf_ntb_mw(s->port.part, n, addr, size, s->mw[n].state, reason);
    return !reason;
}

void epf_ntb_mw_clear(EPFNTBState *s, unsigned n)
{
    s->mw[n] = (EPFNTBMw) { .state = EPF_NTB_SHM_MW_NONE };
    trace_epf_ntb_mw(s->port.part, n, 0, 0, EPF_NTB_SHM_MW_NONE, 0);
}

bool epf_ntb_mw_is_set(const EPFNTBState *s, unsigned n)
{
    return s->mw[n].state == EPF_NTB_SHM_MW_SET;
}

static bool is_shown(const EPFNTBMw *mw, const EPFNTBMw *shown)
{
    return ntb_shm_get64(&shown->addr) == mw->addr &&
           ntb_shm_get64(&shown->size) == mw->size &&
           qatomic_read(&shown->state) == mw->state &&
           qatomic_read(&shown->reason) == mw->reason;
}

static void show(const EPFNTBMw *mw, EPFNTBMw *shown)
{
    ntb_shm_set64(&shown->addr, mw->addr);
    ntb_shm_set64(&shown->size, mw->size);
    qatomic_set(&shown->state, mw->state);
    qatomic_set(&shown->reason, mw->reason);
}

void epf_ntb_mw_show(EPFNTBState *s)
{
    EPFNTBShmArea *area = epf_ntb_area(s->port.own);
    uint32_t seq = qatomic_read(&area->mw_seq);
    bool same = !(seq & 1);

    for (unsigned n = 0; n < EPF_NTB_SHM_NUM_MW; n++) {
        same &= is_shown(&s->mw[n], &area->mw[n]);
    }
    if (same) {
        return;
    }
    qatomic_set(&area->mw_seq, seq | 1);
    smp_wmb();                  /* readers see it odd before any change */
    for (unsigned n = 0; n < EPF_NTB_SHM_NUM_MW; n++) {
        show(&s->mw[n], &area->mw[n]);
    }
    qatomic_store_release(&area->mw_seq, (seq | 1) + 1);
}

static bool read_whole(EPFNTBShmArea *area, EPFNTBMw *copy)
{
    for (int i = 0; i < SEQ_RETRIES; i++) {
        uint32_t seq = qatomic_load_acquire(&area->mw_seq);

        for (unsigned n = 0; n < EPF_NTB_SHM_NUM_MW; n++) {
            copy[n].addr = ntb_shm_get64(&area->mw[n].addr);
            copy[n].size = ntb_shm_get64(&area->mw[n].size);
            copy[n].state = qatomic_read(&area->mw[n].state);
        }
        smp_rmb();              /* the copy is done before the second look */
        if (!(seq & 1) && qatomic_read(&area->mw_seq) == seq) {
            return true;
        }
    }
    return false;
}

static bool same(const EPFNTBMw *a, const EPFNTBMw *b)
{
    return a->addr == b->addr && a->size == b->size && a->state == b->state;
}

/* A table that cannot be read whole leads nowhere; its owner kicks again */
void epf_ntb_mw_take(EPFNTBState *s, unsigned part)
{
    EPFNTBMw now[EPF_NTB_SHM_NUM_MW] = { 0 };

    if (!read_whole(epf_ntb_area(ntb_block(&s->port, part)), now)) {
        memset(now, 0, sizeof(now));
    }
    for (unsigned n = 0; n < s->port.nwindows; n++) {
        bool moved = !same(&s->peer_mw[n], &now[n]);

        s->peer_mw[n] = now[n];
        if (moved) {
            ntb_window_record(&s->port, n);
        }
    }
}

/* All of it is bounded here; what is no RAM of the peer falls out later */
NTBTranslation epf_ntb_mw_translation(NTBPort *port, unsigned window)
{
    EPFNTBState *s = epf_ntb_of(port);
    const EPFNTBMw *mw = &s->peer_mw[window];

    if (mw->state != EPF_NTB_SHM_MW_SET ||
        objection(s, window, mw->addr, mw->size)) {
        return (NTBTranslation) { 0 };
    }
    return (NTBTranslation) {
        .part = epf_ntb_peer(s), .addr = mw->addr, .extent = mw->size,
    };
}
