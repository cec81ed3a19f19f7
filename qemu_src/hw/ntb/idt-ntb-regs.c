/*
 * IDT NTB port: tables of registers, and what follows from them
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "idt-ntb-regs.h"
#include "ntb-record.h"

static const IDTNTBReg absent = { .name = "?", .unimplemented = true };

void idt_ntb_regs_index(const IDTNTBRegTable *table)
{
    for (unsigned i = 0; i < table->nregs; i++) {
        const IDTNTBReg *r = &table->regs[i];

        for (unsigned n = 0; n < MAX(r->count, 1); n++) {
            table->at[(r->addr + n * r->stride - table->first) / 4] = r;
        }
    }
}

const IDTNTBReg *idt_ntb_regs_find(const IDTNTBRegTable *table, uint32_t addr)
{
    const IDTNTBReg *r = NULL;

    if (addr >= table->first && addr < table->end) {
        r = table->at[(addr - table->first) / 4];
    }
    return r ? r : &absent;
}

static uint32_t *field_of(IDTNTBState *s, const IDTNTBReg *r, uint32_t addr)
{
    unsigned n = r->count ? (addr - r->addr) / r->stride : 0;

    return r->field ? (void *)s + r->field + n * r->step : NULL;
}

uint32_t idt_ntb_reg_get(IDTNTBState *s, const IDTNTBReg *r, uint32_t addr)
{
    const uint32_t *field = field_of(s, r, addr);

    if (r->read) {
        return r->read(s, addr);
    }
    return field ? *field : 0;
}

bool idt_ntb_reg_put(IDTNTBState *s, const IDTNTBReg *r, uint32_t addr,
                     uint32_t val)
{
    uint32_t *field = field_of(s, r, addr);
    uint32_t old = field ? *field : 0;

    if (r->kind == IDT_NTB_RO) {
        return false;
    }
    if (field && r->kind == IDT_NTB_W1C) {
        *field &= ~(val & r->mask);
    } else if (field) {
        *field = (*field & ~r->mask) | (val & r->mask);
    }
    if (r->event && field && *field != old) {
        ntb_record(&s->port, r->event, NTB_SHM_NOBODY, addr, *field, old);
    }
    if (r->write) {
        r->write(s, addr, val);
    }
    return true;
}

void idt_ntb_regs_reset(IDTNTBState *s, const IDTNTBRegTable *table)
{
    for (unsigned i = 0; i < table->nregs; i++) {
        const IDTNTBReg *r = &table->regs[i];

        for (unsigned n = 0; r->field && n < MAX(r->count, 1); n++) {
            *field_of(s, r, r->addr + n * r->stride) = r->reset;
        }
    }
}

void idt_ntb_regs_mirror(IDTNTBState *s, const IDTNTBRegTable *table)
{
    for (unsigned i = 0; i < table->nregs; i++) {
        const IDTNTBReg *r = &table->regs[i];

        if (r->mirror) {
            ntb_shm_show((void *)s->port.own + r->mirror,
                         idt_ntb_reg_get(s, r, r->addr));
        }
    }
}
