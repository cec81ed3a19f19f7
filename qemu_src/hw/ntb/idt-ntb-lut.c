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
#include "idt-ntb-lut.h"
#include "idt-ntb-mw.h"

/* The tables of BAR2 and BAR4; where LUTOFFSET points, false if nowhere */
static bool selected(const IDTNTBState *s, unsigned *table, unsigned *entry)
{
    unsigned num = FIELD_EX32(s->lutoffset, LUTOFFSET, BAR);

    *table = num / 2 - 1;
    *entry = FIELD_EX32(s->lutoffset, LUTOFFSET, INDEX);
    return num && num % 2 == 0 && *table < IDT_NTB_WINDOW_BARS &&
           *entry < s->lut_entries[*table];
}

uint32_t idt_ntb_lut_read(IDTNTBState *s, uint32_t addr)
{
    unsigned table, entry;

    if (!selected(s, &table, &entry)) {
        return 0;
    }
    switch (addr) {
    case A_LUTLDATA:
        return s->lut[table][entry].low;
    case A_LUTMDATA:
        return s->lut[table][entry].high;
    default:
        return s->lut[table][entry].upper;
    }
}

static void show(IDTNTBState *s, unsigned table, unsigned entry)
{
    IDTNTBShmLut *shown = &idt_ntb_area(s->port.own)->lut[table][entry];

    ntb_shm_show(&shown->low, s->lut[table][entry].low);
    ntb_shm_show(&shown->high, s->lut[table][entry].high);
    ntb_shm_show(&shown->upper, s->lut[table][entry].upper);
}

void idt_ntb_lut_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned table, entry;
    IDTNTBLutStage *stage;

    if (!selected(s, &table, &entry)) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: LUTOFFSET 0x%x selects no "
                      "lookup-table entry\n", s->lutoffset);
        return;
    }
    stage = &s->lut_stage[table][entry];
    switch (addr) {
    case A_LUTLDATA:
        stage->low = val & ~3u;
        break;
    case A_LUTMDATA:
        stage->high = val;
        break;
    default:
        s->lut[table][entry] = (IDTNTBShmLut) {
            .low = stage->low,
            .high = stage->high,
            .upper = val & LUTUDATA_MASK,
        };
        idt_ntb_mw_entry_programmed(s, table, entry);
        show(s, table, entry);
        break;
    }
}

void idt_ntb_lut_reset(IDTNTBState *s)
{
    memset(s->lut, 0, sizeof(s->lut));
    memset(s->lut_stage, 0, sizeof(s->lut_stage));
    s->lut_shown_on = 0;
}

/* All of it only after a reset, or on another page: writes show themselves */
void idt_ntb_lut_publish(IDTNTBState *s)
{
    if (s->lut_shown_on == s->port.shm.nonce) {
        return;
    }
    s->lut_shown_on = s->port.shm.nonce;
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        for (unsigned n = 0; n < s->lut_entries[i]; n++) {
            show(s, i, n);
        }
    }
}
