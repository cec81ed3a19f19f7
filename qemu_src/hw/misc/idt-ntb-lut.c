/*
 * IDT NTB port: lookup tables
 *
 * 89HPES24NT6AG2 LUTOFFSET selects an entry; LUTLDATA, LUTMDATA and LUTUDATA
 * show it. The driver writes them in this order, so the first two are only
 * staged and the last one makes all three the entry: no window ever leads to
 * half an address. Each entry stages its own words, because on the part they
 * are in the entry at once and a write to another one does not touch them.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "idt-ntb-int.h"

/* Where LUTOFFSET points in both tables below; false if there is no entry */
static bool selected(const IDTNTBState *s, unsigned *table, unsigned *entry)
{
    unsigned num = (s->lutoffset & LUTOFFSET_BAR_MASK) >> LUTOFFSET_BAR_SHIFT;

    *entry = s->lutoffset & LUTOFFSET_INDEX_MASK;
    for (*table = 0; *table < IDT_NTB_WINDOW_BARS; ++*table) {
        if (s->wbar[*table].num == num) {
            return *entry < s->wbar[*table].lut_entries;
        }
    }
    return false;
}

uint32_t idt_ntb_lut_read(IDTNTBState *s, unsigned off)
{
    unsigned table, entry;

    if (off == IDT_NTB_LUTOFFSET) {
        return s->lutoffset;
    }
    if (!selected(s, &table, &entry)) {
        return 0;
    }
    switch (off) {
    case IDT_NTB_LUTLDATA:
        return s->lut[table][entry].low;
    case IDT_NTB_LUTMDATA:
        return s->lut[table][entry].high;
    default:
        return s->lut[table][entry].upper;
    }
}

void idt_ntb_lut_write(IDTNTBState *s, unsigned off, uint32_t val)
{
    unsigned table, entry;
    IDTNTBLutStage *stage;

    if (off == IDT_NTB_LUTOFFSET) {
        s->lutoffset = val & LUTOFFSET_MASK;
        return;
    }
    if (!selected(s, &table, &entry)) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: LUTOFFSET 0x%x selects no "
                      "lookup-table entry\n", s->lutoffset);
        return;
    }
    stage = &s->lut_stage[table][entry];
    switch (off) {
    case IDT_NTB_LUTLDATA:
        stage->low = val & ~3u;
        break;
    case IDT_NTB_LUTMDATA:
        stage->high = val;
        break;
    default:
        s->lut[table][entry] = (IDTNTBShmLut) {
            .low = stage->low,
            .high = stage->high,
            .upper = val & LUTUDATA_MASK,
        };
        idt_ntb_mw_programmed(s, &s->lut[table][entry]);
        idt_ntb_lut_publish(s);
        break;
    }
}

void idt_ntb_lut_reset(IDTNTBState *s)
{
    memset(s->lut, 0, sizeof(s->lut));
    memset(s->lut_stage, 0, sizeof(s->lut_stage));
    s->lutoffset = 0;
    idt_ntb_lut_publish(s);
}

void idt_ntb_lut_publish(IDTNTBState *s)
{
    if (!s->own) {
        return;
    }
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        for (unsigned n = 0; n < s->wbar[i].lut_entries; n++) {
            IDTNTBShmLut *shown = &idt_ntb_shm_area(s->own)->lut[i][n];

            qatomic_set(&shown->low, s->lut[i][n].low);
            qatomic_set(&shown->high, s->lut[i][n].high);
            qatomic_set(&shown->upper, s->lut[i][n].upper);
        }
    }
}
