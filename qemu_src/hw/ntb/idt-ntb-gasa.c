/*
 * IDT NTB port: the switch's global address space
 *
 * 89HPES24NT6AG2 GASAADDR, GASADATA: the NT functions of all ports, each port's
 * view of another read-only, and the switch's own registers.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "idt-ntb-gasa.h"
#include "idt-ntb-nt.h"
#include "idt-ntb-regs.h"
#include "idt-ntb-temp.h"
#include "ntb-peer.h"
#include "trace.h"

#define UNCONFIGURED(s) (0xffu & ~((1u << (s)->port.nports) - 1))

/* Partition of the NT function on switch port @port, or -1 */
static int part_of_port(const IDTNTBState *s, unsigned port)
{
    for (unsigned part = 0; part < s->port.nports; part++) {
        if (ntb_number(&s->port, part) == port) {
            return part;
        }
    }
    return -1;
}

/*
 * The NT functions
 */

/*
 * Another port's registers. Its windows are known to be set up like ours; only
 * their targets come from its own image, which nobody may trust.
 */
static uint32_t peer_image_read(IDTNTBState *s, unsigned part, unsigned off)
{
    IDTNTBLevels peer = idt_ntb_levels(s, part);
    const IDTNTBShmArea *area = idt_ntb_area(ntb_block(&s->port, part));
    uint32_t image = 0;

    switch (off) {
    case 0x000:
        return IDT_NTB_DEVICE_ID << 16 | IDT_NTB_VENDOR_ID;
    case A_PCICMDSTS:
        return peer.pcicmd;
    case A_PCIELCAP:
        return ntb_number(&s->port, part) << 24;
    case A_PCIELCTLSTS:
        return peer.pcielctlsts;
    case A_NTCTL:
        return peer.ntctl;
    }
    if (off < IDT_NTB_SHM_IMAGE_BASE ||
        off >= IDT_NTB_SHM_IMAGE_BASE + IDT_NTB_SHM_IMAGE_SIZE) {
        return 0;
    }
    if (s->port.peer[part].attached) {
        image = qatomic_read(&area->image[(off - IDT_NTB_SHM_IMAGE_BASE) / 4]);
    }
    if (off >= A_BARSETUP0 && off < IDT_NTB_BAR_END &&
        off % IDT_NTB_BAR_STRIDE == 0) {
        unsigned n = (off - A_BARSETUP0) / IDT_NTB_BAR_STRIDE;
        uint32_t setup = s->port.cfg.barsetup[n];

        if (FIELD_EX32(setup, BARSETUP0, EN) &&
            !FIELD_EX32(setup, BARSETUP0, MODE_CFG)) {
            setup |= image & R_BARSETUP0_TPART_MASK;
        }
        return setup;
    }
    return image;
}

static uint32_t port_image_read(IDTNTBState *s, uint32_t addr)
{
    unsigned off = addr % IDT_NTB_CFG_SIZE;
    int part = -1;

    /* Each port has 8 KiB; its NT function is the odd 4 KiB page of them */
    if ((addr - GASA_PORT_BASE) % GASA_PORT_STRIDE < IDT_NTB_CFG_SIZE) {
        part = part_of_port(s, (addr - GASA_PORT_BASE) / GASA_PORT_STRIDE);
    }
    if (part < 0 || off == A_GASAADDR || off == A_GASADATA) {
        return 0;               /* not configured; no way into itself */
    }
    if (part == s->port.part) {
        return idt_ntb_nt_read(s, off);
    }
    return peer_image_read(s, part, off);
}

static void port_image_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned off = addr % IDT_NTB_CFG_SIZE;
    unsigned number = ntb_number(&s->port, s->port.part);
    uint32_t own = GASA_PORT_BASE + number * GASA_PORT_STRIDE;

    if (addr - off != own) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write to another port's "
                      "registers at 0x%x ignored\n", addr);
    } else if (off != A_GASAADDR && off != A_GASADATA) {
        idt_ntb_nt_write(s, off, val);
    }
}

/*
 * The switch
 */

static uint32_t swpart_read(IDTNTBState *s, uint32_t addr)
{
    unsigned part = (addr - A_SWPART0CTL) / GASA_SWPART_STRIDE;

    if (addr % GASA_SWPART_STRIDE != 4 || part >= s->port.nports) {
        return 0;
    }
    return SWPARTSTS_ACTIVE |
           ntb_number(&s->port, part) << SWPARTSTS_USID_SHIFT;
}

/* A configured port is an NT port even while its guest is away */
static uint32_t swport_read(IDTNTBState *s, uint32_t addr)
{
    unsigned port = (addr - A_SWPORT0CTL) / GASA_SWPORT_STRIDE;
    int part = part_of_port(s, port);
    bool linkup;

    if (addr % GASA_SWPORT_STRIDE != 4 || part < 0) {
        return 0;
    }
    linkup = part == s->port.part ? s->port.linkup : s->port.peer[part].linkup;
    return SWPORTSTS_MODE_NT | part << SWPORTSTS_SWPART_SHIFT |
           (linkup ? SWPORTSTS_LINKUP : 0);
}

static uint32_t sests_read(IDTNTBState *s, uint32_t addr)
{
    return (s->selinkupsts & ~s->selinkupmsk ? R_SESTS_LINKUP_MASK : 0) |
           (s->selinkdnsts & ~s->selinkdnmsk ? R_SESTS_LINKDN_MASK : 0) |
           (s->segsigsts & ~s->segsigmsk ? R_SESTS_GSIGNAL_MASK : 0);
}

static uint32_t gdbellsts_read(IDTNTBState *s, uint32_t addr)
{
    uint32_t sts = qatomic_read(&s->port.own->indbellsts);

    for (unsigned part = 0; part < s->port.nports; part++) {
        if (part != s->port.part) {
            sts |= ntb_peer_doorbells(&s->port, part);
        }
    }
    return sts;
}

static uint32_t swpmsgctl_read(IDTNTBState *s, uint32_t addr)
{
    unsigned m = (addr - A_SWP0MSGCTL0) / 0x20;
    unsigned part = (addr - A_SWP0MSGCTL0) % 0x20 / 4;
    IDTNTBShmArea *area;

    if (part == s->port.part) {
        return s->swpmsgctl[m];
    }
    if (!ntb_is_peer(&s->port, part) || !s->port.peer[part].attached) {
        return 0;
    }
    area = idt_ntb_area(ntb_block(&s->port, part));
    return qatomic_read(&area->swpmsgctl[m]) & SWPMSGCTL_MASK;
}

static void swpmsgctl_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned m = (addr - A_SWP0MSGCTL0) / 0x20;
    unsigned part = (addr - A_SWP0MSGCTL0) % 0x20 / 4;

    if (part != s->port.part) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write to partition %u's "
                      "message route ignored\n", part);
        return;
    }
    s->swpmsgctl[m] = val & SWPMSGCTL_MASK;
}

static uint32_t godbellmsk_read(IDTNTBState *s, uint32_t addr)
{
    return UNCONFIGURED(s);
}

/* A port's own doorbells come back to it only with db-loopback */
static uint32_t gidbellmsk_read(IDTNTBState *s, uint32_t addr)
{
    return UNCONFIGURED(s) | (s->db_loopback ? 0 : 1u << s->port.part);
}

#define REG(r) .addr = A_##r, .name = #r
#define WORDS(n) IDT_NTB_MANY(n, 4, 0)
#define MASK(f) \
    IDT_NTB_FIELD(f), .kind = IDT_NTB_RW, .mask = ~0u, .reset = ~0u, \
    IDT_NTB_TOLD_AS_MASK
#define STATUS(f) \
    IDT_NTB_FIELD(f), .kind = IDT_NTB_W1C, .mask = ~0u, IDT_NTB_MIRROR(f)
#define TEMP \
    .kind = IDT_NTB_RW, .read = idt_ntb_temp_read, .write = idt_ntb_temp_write

static const IDTNTBReg switch_regs[] = {
    { REG(SWCTL), .kind = IDT_NTB_RO, WORDS(64) },
    { A_SWPART0CTL, "SWPART", .kind = IDT_NTB_RO, .read = swpart_read,
      WORDS(64) },
    { A_SWPORT0CTL, "SWPORT", .kind = IDT_NTB_RO, .read = swport_read,
      WORDS(192) },
    { REG(GASAPROT), .kind = IDT_NTB_RO },
    { A_NTMTBLPROT0, "NTMTBLPROT", .kind = IDT_NTB_RO, WORDS(8) },
    { REG(SESTS), .kind = IDT_NTB_RO, .read = sests_read },
    { REG(SEMSK), MASK(semsk), IDT_NTB_MIRROR(semsk) },
    { REG(SEPMSK), MASK(sepmsk), IDT_NTB_MIRROR(sepmsk) },
    { REG(SELINKUPSTS), STATUS(selinkupsts) },
    { REG(SELINKUPMSK), MASK(selinkupmsk), IDT_NTB_MIRROR(selinkupmsk) },
    { REG(SELINKDNSTS), STATUS(selinkdnsts) },
    { REG(SELINKDNMSK), MASK(selinkdnmsk), IDT_NTB_MIRROR(selinkdnmsk) },
    /* No such event comes to an NT port here */
    { REG(SEFRSTSTS), .kind = IDT_NTB_W1C },
    { REG(SEFRSTMSK), MASK(sefrstmsk) },
    { REG(SEHRSTSTS), .kind = IDT_NTB_W1C },
    { REG(SEHRSTMSK), MASK(sehrstmsk) },
    { REG(SEFOVRMSK), MASK(sefovrmsk) },
    { REG(SEGSIGSTS), STATUS(segsigsts) },
    { REG(SEGSIGMSK), MASK(segsigmsk), IDT_NTB_MIRROR(segsigmsk) },
    { REG(GDBELLSTS), .kind = IDT_NTB_RO, .read = gdbellsts_read },
    { A_GODBELLMSK0, "GODBELLMSK", .kind = IDT_NTB_RO,
      .read = godbellmsk_read, WORDS(32) },
    { A_GIDBELLMSK0, "GIDBELLMSK", .kind = IDT_NTB_RO,
      .read = gidbellmsk_read, WORDS(32) },
    { A_SWP0MSGCTL0, "SWPMSGCTL", .kind = IDT_NTB_RW, .read = swpmsgctl_read,
      .write = swpmsgctl_write, WORDS(32) },
    { REG(TMPCTL), TEMP, IDT_NTB_MIRROR(tmpctl) },
    { REG(TMPSTS), TEMP, IDT_NTB_MIRROR(tmpsts) },
    { REG(TMPALARM), TEMP, IDT_NTB_MIRROR(tmpalarm) },
    { REG(TMPADJ), TEMP, IDT_NTB_MIRROR(tmpadj) },
    { REG(TSSLOPE), TEMP },
};

static const IDTNTBReg *at[(GASA_SWITCH_END - A_SWCTL) / 4];
static const IDTNTBRegTable table = {
    switch_regs, ARRAY_SIZE(switch_regs), A_SWCTL, GASA_SWITCH_END, at
};

void idt_ntb_gasa_init(void)
{
    idt_ntb_regs_index(&table);
}

static uint32_t switch_read(IDTNTBState *s, uint32_t addr)
{
    const IDTNTBReg *r = idt_ntb_regs_find(&table, addr);

    if (r->unimplemented) {
        qemu_log_mask(LOG_UNIMP, "idt-ntb: read of global register 0x%x is not "
                      "implemented\n", addr);
    }
    return idt_ntb_reg_get(s, r, addr);
}

static void switch_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    const IDTNTBReg *r = idt_ntb_regs_find(&table, addr);

    if (r->unimplemented) {
        qemu_log_mask(LOG_UNIMP, "idt-ntb: write of global register 0x%x is "
                      "not implemented\n", addr);
    } else if (!idt_ntb_reg_put(s, r, addr, val)) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write of 0x%x to read-only "
                      "global register 0x%x\n", val, addr);
    }
    ntb_publish(&s->port);
}

uint32_t idt_ntb_gasa_read(IDTNTBState *s)
{
    uint32_t addr = s->gasaaddr;
    uint32_t val;

    if (addr >= GASA_PORT_BASE && addr < GASA_PORT_END) {
        val = port_image_read(s, addr);
    } else {
        val = switch_read(s, addr);
    }
    trace_idt_ntb_gasa_read(s->port.part, addr, val);
    return val;
}

void idt_ntb_gasa_write(IDTNTBState *s, uint32_t val)
{
    uint32_t addr = s->gasaaddr;

    trace_idt_ntb_gasa_write(s->port.part, addr, val);
    if (addr >= GASA_PORT_BASE && addr < GASA_PORT_END) {
        port_image_write(s, addr, val);
    } else {
        switch_write(s, addr, val);
    }
}

void idt_ntb_gasa_reset(IDTNTBState *s)
{
    idt_ntb_regs_reset(s, &table);
    memset(s->swpmsgctl, 0, sizeof(s->swpmsgctl));
    s->gasaaddr = 0;
}

void idt_ntb_gasa_publish(IDTNTBState *s)
{
    idt_ntb_regs_mirror(s, &table);
}
