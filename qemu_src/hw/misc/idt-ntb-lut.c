/*
 * IDT NTB port: lookup tables
 *
 * 89HPES24NT6AG2 LUTOFFSET selects an entry; LUTLDATA, LUTMDATA and LUTUDATA
 * show it. The driver writes them in this order, so the first two are only
 * staged and the last one makes all three the entry: no window ever leads to
 * half an address.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "idt-ntb-int.h"

/* The entry that LUTOFFSET selects; NULL if there is none */
static IDTNTBShmLut *selected(IDTNTBState *s)
{
    unsigned num = (s->lutoffset & LUTOFFSET_BAR_MASK) >> LUTOFFSET_BAR_SHIFT;
    unsigned entry = s->lutoffset & LUTOFFSET_INDEX_MASK;

    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        if (s->wbar[i].num == num && entry < s->wbar[i].lut_entries) {
            return &s->lut[i][entry];
        }
    }
    return NULL;
}

uint32_t idt_ntb_lut_read(IDTNTBState *s, unsigned off)
{
    const IDTNTBShmLut *entry = selected(s);

    switch (off) {
    case IDT_NTB_LUTOFFSET:
        return s->lutoffset;
    case IDT_NTB_LUTLDATA:
        return entry ? entry->low : 0;
    case IDT_NTB_LUTMDATA:
        return entry ? entry->high : 0;
    default:
        return entry ? entry->upper : 0;
    }
}

static void commit(IDTNTBState *s, uint32_t val)
{
    IDTNTBShmLut *entry = selected(s);

    if (!entry) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: LUTOFFSET 0x%x selects no "
                      "lookup-table entry\n", s->lutoffset);
        return;
    }
    *entry = (IDTNTBShmLut) {
        .low = s->lut_low,
        .high = s->lut_high,
        .upper = val & LUTUDATA_MASK,
    };
    idt_ntb_mw_programmed(s, entry);
    idt_ntb_lut_publish(s);
}

void idt_ntb_lut_write(IDTNTBState *s, unsigned off, uint32_t val)
{
    switch (off) {
    case IDT_NTB_LUTOFFSET:
        s->lutoffset = val & LUTOFFSET_MASK;
        break;
    case IDT_NTB_LUTLDATA:
        s->lut_low = val & ~3u;
        break;
    case IDT_NTB_LUTMDATA:
        s->lut_high = val;
        break;
    default:
        commit(s, val);
        break;
    }
}

void idt_ntb_lut_reset(IDTNTBState *s)
{
    memset(s->lut, 0, sizeof(s->lut));
    s->lutoffset = s->lut_low = s->lut_high = 0;
    idt_ntb_lut_publish(s);
}

void idt_ntb_lut_publish(IDTNTBState *s)
{
    if (!s->own) {
        return;
    }
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        for (unsigned n = 0; n < s->wbar[i].lut_entries; n++) {
            IDTNTBShmLut *shown = &s->own->lut[i][n];

            qatomic_set(&shown->low, s->lut[i][n].low);
            qatomic_set(&shown->high, s->lut[i][n].high);
            qatomic_set(&shown->upper, s->lut[i][n].upper);
        }
    }
}
