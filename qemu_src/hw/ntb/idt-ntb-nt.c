/*
 * IDT NTB port: the NT function's registers
 *
 * 89HPES24NT6AG2 NT endpoint registers 0x400-0x4ff, seen alike through BAR0,
 * configuration space and the global space.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "idt-ntb-irq.h"
#include "idt-ntb-lut.h"
#include "idt-ntb-msg.h"
#include "idt-ntb-mw.h"
#include "idt-ntb-nt.h"
#include "idt-ntb-regs.h"
#include "ntb-link.h"
#include "ntb-record.h"
#include "trace.h"

static void ntctl_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    ntb_link_changed(&s->port);
}

static uint32_t ntintsts_read(IDTNTBState *s, uint32_t addr)
{
    return idt_ntb_irq_status(s);
}

static unsigned bar_of(uint32_t addr)
{
    return (addr - A_BARSETUP0) / IDT_NTB_BAR_STRIDE;
}

static void bar_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    idt_ntb_mw_bar_programmed(s, bar_of(addr));
}

/* All but the target is locked; a BAR that is no window has none either */
static void barsetup_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    uint32_t *setup = &s->bar[bar_of(addr)].setup;

    if (FIELD_EX32(*setup, BARSETUP0, EN) &&
        !FIELD_EX32(*setup, BARSETUP0, MODE_CFG)) {
        *setup = FIELD_DP32(*setup, BARSETUP0, TPART,
                            FIELD_EX32(val, BARSETUP0, TPART));
    }
    idt_ntb_mw_bar_programmed(s, bar_of(addr));
}

/* The table is switch-wide: each port's entry is kept by that port */
static uint32_t mtbl_read(IDTNTBState *s, uint32_t addr)
{
    unsigned part = FIELD_EX32(s->ntmtbladdr, NTMTBLADDR, INDEX);

    if (part == s->port.part) {
        return s->mtbl;
    }
    return ntb_is_peer(&s->port, part) ? idt_ntb_levels(s, part).mtbl : 0;
}

static void mtbl_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned part = FIELD_EX32(s->ntmtbladdr, NTMTBLADDR, INDEX);

    if (part != s->port.part) {
        s->ntmtblsts |= R_NTMTBLSTS_ERR_MASK;
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: port of partition %u may not "
                      "write mapping-table entry %u\n", s->port.part, part);
        return;
    }
    if (s->mtbl != (val & NTMTBLDATA_MASK)) {
        ntb_record(&s->port, NTB_SHM_EV_REGISTER, NTB_SHM_NOBODY, addr,
                   val & NTMTBLDATA_MASK, s->mtbl);
    }
    s->mtbl = val & NTMTBLDATA_MASK;
    ntb_link_changed(&s->port);
}

#define REG(r) .addr = A_##r, .name = #r
#define BAR(f, m, hook) \
    IDT_NTB_FIELD(bar[0].f), .kind = IDT_NTB_RW, .mask = m, .write = hook, \
    IDT_NTB_MANY(IDT_NTB_BARS, IDT_NTB_BAR_STRIDE, sizeof(IDTNTBBarRegs))
#define LUT \
    .kind = IDT_NTB_RW, .read = idt_ntb_lut_read, .write = idt_ntb_lut_write

static const IDTNTBReg nt_regs[] = {
    { REG(NTCTL), IDT_NTB_FIELD(ntctl), .kind = IDT_NTB_RW,
      .mask = NTCTL_MASK, .write = ntctl_write, IDT_NTB_TOLD },
    { REG(NTINTSTS), IDT_NTB_FIELD(ntintsts), .kind = IDT_NTB_W1C,
      .mask = NTINT_STICKY, .read = ntintsts_read, IDT_NTB_MIRROR(ntintsts) },
    { REG(NTINTMSK), IDT_NTB_FIELD(ntintmsk), .kind = IDT_NTB_RW,
      .mask = NTINT_ALL, .reset = NTINT_ALL, IDT_NTB_MIRROR(ntintmsk),
      IDT_NTB_TOLD_AS_MASK },
    { REG(NTSDATA), IDT_NTB_FIELD(ntsdata), .kind = IDT_NTB_RW, .mask = ~0u },
    { REG(NTGSIGNAL), .kind = IDT_NTB_WO, .write = idt_ntb_ntgsignal_write },
    { REG(NTIERRORMSK0), IDT_NTB_FIELD(ntierrormsk[0]), .kind = IDT_NTB_RW,
      .mask = ~0u },
    { REG(NTIERRORMSK1), IDT_NTB_FIELD(ntierrormsk[1]), .kind = IDT_NTB_RW,
      .mask = ~0u },
    { REG(OUTDBELLSET), .kind = IDT_NTB_WO,
      .write = idt_ntb_outdbellset_write },
    { REG(INDBELLSTS), .kind = IDT_NTB_W1C, .read = idt_ntb_indbellsts_read,
      .write = idt_ntb_indbellsts_write },
    { REG(INDBELLMSK), IDT_NTB_FIELD(indbellmsk), .kind = IDT_NTB_RW,
      .mask = ~0u, IDT_NTB_MIRROR(indbellmsk), IDT_NTB_TOLD_AS_MASK },
    { A_OUTMSG0, "OUTMSG", IDT_NTB_FIELD(outmsg), .kind = IDT_NTB_RW,
      .mask = ~0u, .write = idt_ntb_outmsg_write,
      IDT_NTB_MANY(IDT_NTB_MSGS, 4, 4) },
    { A_INMSG0, "INMSG", .kind = IDT_NTB_RO, .read = idt_ntb_inmsg_read,
      IDT_NTB_MANY(IDT_NTB_MSGS, 4, 0) },
    { A_INMSGSRC0, "INMSGSRC", .kind = IDT_NTB_RO,
      .read = idt_ntb_inmsgsrc_read, IDT_NTB_MANY(IDT_NTB_MSGS, 4, 0) },
    { REG(MSGSTS), IDT_NTB_FIELD(outmsgsts), .kind = IDT_NTB_W1C,
      .mask = R_MSGSTS_OUT_MASK, .read = idt_ntb_msgsts_read,
      .write = idt_ntb_msgsts_write },
    { REG(MSGSTSMSK), IDT_NTB_FIELD(msgstsmsk), .kind = IDT_NTB_RW,
      .mask = MSGSTS_MASK, IDT_NTB_MIRROR(msgstsmsk), IDT_NTB_TOLD_AS_MASK },
    { A_BARSETUP0, "BARSETUP", BAR(setup, 0, barsetup_write) },
    { A_BARLIMIT0, "BARLIMIT", BAR(limit, ~0u, bar_write) },
    { A_BARLTBASE0, "BARLTBASE", BAR(ltbase, ~3u, bar_write) },
    { A_BARUTBASE0, "BARUTBASE", BAR(utbase, ~0u, bar_write) },
    { REG(NTMTBLADDR), IDT_NTB_FIELD(ntmtbladdr), .kind = IDT_NTB_RW,
      .mask = NTMTBLADDR_MASK },
    { REG(NTMTBLSTS), IDT_NTB_FIELD(ntmtblsts), .kind = IDT_NTB_W1C,
      .mask = R_NTMTBLSTS_ERR_MASK },
    { REG(NTMTBLDATA), IDT_NTB_FIELD(mtbl), .kind = IDT_NTB_RW,
      .read = mtbl_read, .write = mtbl_write },
    { REG(REQIDCAP), IDT_NTB_FIELD(reqidcap), .kind = IDT_NTB_RO },
    { REG(LUTOFFSET), IDT_NTB_FIELD(lutoffset), .kind = IDT_NTB_RW,
      .mask = LUTOFFSET_MASK },
    { REG(LUTLDATA), LUT },
    { REG(LUTMDATA), LUT },
    { REG(LUTUDATA), LUT },
    { REG(NTUEEM), .kind = IDT_NTB_RO },
    { REG(NTCEEM), .kind = IDT_NTB_RO },
};

static const IDTNTBReg *at[IDT_NTB_SHM_IMAGE_SIZE / 4];
static const IDTNTBRegTable table = {
    nt_regs, ARRAY_SIZE(nt_regs), IDT_NTB_REGS_START,
    IDT_NTB_REGS_START + IDT_NTB_SHM_IMAGE_SIZE, at
};

void idt_ntb_nt_init(void)
{
    idt_ntb_regs_index(&table);
}

uint32_t idt_ntb_nt_read(IDTNTBState *s, uint32_t off)
{
    const IDTNTBReg *r = idt_ntb_regs_find(&table, off);
    uint32_t val;

    if (off < IDT_NTB_REGS_START) {
        val = pci_default_read_config(PCI_DEVICE(s), off, 4);
        trace_idt_ntb_reg_read(s->port.part, off, "PCI", val);
        return val;
    }
    if (r->unimplemented) {
        qemu_log_mask(LOG_UNIMP, "idt-ntb: read of register 0x%x (%s) is not "
                      "implemented\n", off, r->name);
    }
    val = idt_ntb_reg_get(s, r, off);
    trace_idt_ntb_reg_read(s->port.part, off, r->name, val);
    return val;
}

static void reg_write(IDTNTBState *s, const IDTNTBReg *r, uint32_t off,
                      uint32_t val)
{
    if (!idt_ntb_reg_put(s, r, off, val)) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write of 0x%x to read-only "
                      "register 0x%x (%s)\n", val, off, r->name);
        return;
    }
    idt_ntb_irq_update(s);
    ntb_publish(&s->port);
}

void idt_ntb_nt_write(IDTNTBState *s, uint32_t off, uint32_t val)
{
    const IDTNTBReg *r = idt_ntb_regs_find(&table, off);
    PCIDevice *pdev = PCI_DEVICE(s);

    if (off < IDT_NTB_REGS_START) {
        trace_idt_ntb_reg_write(s->port.part, off, "PCI", val);
        pdev->config_write(pdev, off, val, 4);
        return;
    }
    trace_idt_ntb_reg_write(s->port.part, off, r->name, val);
    if (r->unimplemented) {
        qemu_log_mask(LOG_UNIMP, "idt-ntb: write of 0x%x to register 0x%x (%s) "
                      "is not implemented\n", val, off, r->name);
        return;
    }
    reg_write(s, r, off, val);
}

void idt_ntb_nt_reset(IDTNTBState *s)
{
    idt_ntb_regs_reset(s, &table);
    for (unsigned n = 0; n < IDT_NTB_BARS; n++) {
        s->bar[n].setup = s->port.cfg.barsetup[n];
    }
}

void idt_ntb_nt_publish(IDTNTBState *s)
{
    uint32_t *image = idt_ntb_area(s->port.own)->image;

    idt_ntb_regs_mirror(s, &table);
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
        if (at[i]) {
            ntb_shm_show(&image[i],
                         idt_ntb_reg_get(s, at[i], table.first + 4 * i));
        }
    }
}
