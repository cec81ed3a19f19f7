/*
 * IDT NTB port: the switch's global address space
 *
 * 89HPES24NT6AG2 GASAADDR and GASADATA open 256 KiB with the registers of every
 * port and of the switch. Switch event registers are kept for each port apart:
 * the driver on every port clears and masks them as if they were its own.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "idt-ntb-int.h"
#include "trace.h"

#define UNCONFIGURED(s) (0xffu & ~((1u << (s)->nports) - 1))

/* Partition of the NT function on switch port @port, or -1 */
static int part_of_port(const IDTNTBState *s, unsigned port)
{
    for (unsigned part = 0; part < s->nports; part++) {
        if (idt_ntb_port_of(part) == port) {
            return part;
        }
    }
    return -1;
}

/*
 * Another port's registers. Its windows are known to be set up like ours; only
 * their targets come from its own image, which nobody may trust.
 */
static uint32_t peer_image_read(IDTNTBState *s, unsigned part, unsigned off)
{
    const IDTNTBPeer *peer = &s->peer[part];
    const IDTNTBShmArea *area =
        idt_ntb_shm_area(idt_ntb_shm_port(&s->shm, part));
    uint32_t image = 0;

    switch (off) {
    case 0x000:
        return IDT_NTB_DEVICE_ID << 16 | IDT_NTB_VENDOR_ID;
    case IDT_NTB_PCICMDSTS:
        return peer->pcicmd & 0xffff;
    case IDT_NTB_PCIELCAP:
        return idt_ntb_port_of(part) << 24;
    case IDT_NTB_PCIELCTLSTS:
        return peer->pcielctlsts;
    case IDT_NTB_NTCTL:
        return peer->ntctl;
    }
    if (off < IDT_NTB_SHM_IMAGE_BASE ||
        off >= IDT_NTB_SHM_IMAGE_BASE + IDT_NTB_SHM_IMAGE_SIZE) {
        return 0;
    }
    if (peer->attached) {
        image = qatomic_read(&area->image[(off - IDT_NTB_SHM_IMAGE_BASE) / 4]);
    }
    if (off >= IDT_NTB_BARSETUP0 && off < IDT_NTB_BAR_END &&
        off % IDT_NTB_BAR_STRIDE == 0) {
        unsigned n = (off - IDT_NTB_BARSETUP0) / IDT_NTB_BAR_STRIDE;
        uint32_t setup = s->cfg.barsetup[n];

        if ((setup & BARSETUP_EN) && !(setup & BARSETUP_MODE_CFG)) {
            setup |= image & BARSETUP_TPART_MASK;
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
    if (part < 0 || off == IDT_NTB_GASAADDR || off == IDT_NTB_GASADATA) {
        return 0;               /* not configured; no way into itself */
    }
    if (part == s->part) {
        return idt_ntb_reg_read(s, off, 0);
    }
    return peer_image_read(s, part, off);
}

static void port_image_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned off = addr % IDT_NTB_CFG_SIZE;
    uint32_t own = GASA_PORT_BASE + idt_ntb_port_of(s->part) * GASA_PORT_STRIDE;

    if (addr - off != own) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write to another port's "
                      "registers at 0x%x ignored\n", addr);
    } else if (off != IDT_NTB_GASAADDR && off != IDT_NTB_GASADATA) {
        idt_ntb_reg_write(s, off, val);
    }
}

static uint32_t swpart_read(IDTNTBState *s, uint32_t addr)
{
    unsigned part = (addr - GASA_SWPART0CTL) / GASA_SWPART_STRIDE;

    if (addr % GASA_SWPART_STRIDE != 4 || part >= s->nports) {
        return 0;
    }
    return SWPARTSTS_ACTIVE | idt_ntb_port_of(part) << SWPARTSTS_USID_SHIFT;
}

/* A configured port is an NT port even while its guest is away */
static uint32_t swport_read(IDTNTBState *s, uint32_t addr)
{
    unsigned port = (addr - GASA_SWPORT0CTL) / GASA_SWPORT_STRIDE;
    int part = part_of_port(s, port);
    bool linkup;

    if (addr % GASA_SWPORT_STRIDE != 4 || part < 0) {
        return 0;
    }
    linkup = part == s->part ? s->linkup : s->peer[part].linkup;
    return SWPORTSTS_MODE_NT | part << SWPORTSTS_SWPART_SHIFT |
           (linkup ? SWPORTSTS_LINKUP : 0);
}

static uint32_t sests_read(const IDTNTBState *s)
{
    return (s->selinkupsts & ~s->selinkupmsk ? SE_LINKUP : 0) |
           (s->selinkdnsts & ~s->selinkdnmsk ? SE_LINKDN : 0) |
           (s->segsigsts & ~s->segsigmsk ? SE_GSIGNAL : 0);
}

static uint32_t gdbellsts_read(IDTNTBState *s)
{
    uint32_t sts = qatomic_read(&s->own->indbellsts);

    for (unsigned part = 0; part < s->nports; part++) {
        if (part != s->part) {
            sts |= idt_ntb_peer_doorbells(s, part);
        }
    }
    return sts;
}

static uint32_t swpmsgctl_read(IDTNTBState *s, uint32_t addr)
{
    unsigned m = (addr - GASA_SWP0MSGCTL0) / 0x20;
    unsigned part = (addr - GASA_SWP0MSGCTL0) % 0x20 / 4;
    IDTNTBShmArea *area;

    if (part == s->part) {
        return s->swpmsgctl[m];
    }
    if (!idt_ntb_is_peer(s, part) || !s->peer[part].attached) {
        return 0;
    }
    area = idt_ntb_shm_area(idt_ntb_shm_port(&s->shm, part));
    return qatomic_read(&area->swpmsgctl[m]) & SWPMSGCTL_MASK;
}

static void swpmsgctl_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned m = (addr - GASA_SWP0MSGCTL0) / 0x20;
    unsigned part = (addr - GASA_SWP0MSGCTL0) % 0x20 / 4;

    if (part != s->part) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write to partition %u's "
                      "message route ignored\n", part);
        return;
    }
    s->swpmsgctl[m] = val & SWPMSGCTL_MASK;
}

static void log_unimp(uint32_t addr, const char *what)
{
    qemu_log_mask(LOG_UNIMP, "idt-ntb: %s of global register 0x%x is not "
                  "implemented\n", what, addr);
}

static uint32_t switch_read(IDTNTBState *s, uint32_t addr)
{
    switch (addr) {
    case GASA_SWCTL ... GASA_SWCTL_END - 1:
    case GASA_GASAPROT:
    case GASA_NTMTBLPROT0 ... GASA_NTMTBLPROT_END - 1:
        return 0;
    case GASA_SWPART0CTL ... GASA_SWPART_END - 1:
        return swpart_read(s, addr);
    case GASA_SWPORT0CTL ... GASA_SWPORT_END - 1:
        return swport_read(s, addr);
    case GASA_SESTS:
        return sests_read(s);
    case GASA_SEMSK:
        return s->semsk;
    case GASA_SEPMSK:
        return s->sepmsk;
    case GASA_SELINKUPSTS:
        return s->selinkupsts;
    case GASA_SELINKUPMSK:
        return s->selinkupmsk;
    case GASA_SELINKDNSTS:
        return s->selinkdnsts;
    case GASA_SELINKDNMSK:
        return s->selinkdnmsk;
    case GASA_SEFRSTSTS:
    case GASA_SEHRSTSTS:
        return 0;               /* no such event comes to an NT port here */
    case GASA_SEFRSTMSK:
        return s->sefrstmsk;
    case GASA_SEHRSTMSK:
        return s->sehrstmsk;
    case GASA_SEFOVRMSK:
        return s->sefovrmsk;
    case GASA_SEGSIGSTS:
        return s->segsigsts;
    case GASA_SEGSIGMSK:
        return s->segsigmsk;
    case GASA_GDBELLSTS:
        return gdbellsts_read(s);
    case GASA_GODBELLMSK0 ... GASA_GIDBELLMSK0 - 1:
        return UNCONFIGURED(s);
    case GASA_GIDBELLMSK0 ... GASA_GIDBELLMSK_END - 1:
        /* A port's own doorbells come back to it only with db-loopback */
        return UNCONFIGURED(s) | (s->db_loopback ? 0 : 1u << s->part);
    case GASA_SWP0MSGCTL0 ... GASA_SWPMSGCTL_END - 1:
        return swpmsgctl_read(s, addr);
    case GASA_TMPCTL ... GASA_TMP_END - 1:
        return idt_ntb_temp_read(s, addr);
    }
    log_unimp(addr, "read");
    return 0;
}

static void switch_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    switch (addr) {
    case GASA_SEMSK:
        s->semsk = val;
        break;
    case GASA_SEPMSK:
        s->sepmsk = val;
        break;
    case GASA_SELINKUPSTS:
        s->selinkupsts &= ~val;
        break;
    case GASA_SELINKUPMSK:
        s->selinkupmsk = val;
        break;
    case GASA_SELINKDNSTS:
        s->selinkdnsts &= ~val;
        break;
    case GASA_SELINKDNMSK:
        s->selinkdnmsk = val;
        break;
    case GASA_SEFRSTSTS:
    case GASA_SEHRSTSTS:
        break;                  /* nothing is ever set that could be cleared */
    case GASA_SEFRSTMSK:
        s->sefrstmsk = val;
        break;
    case GASA_SEHRSTMSK:
        s->sehrstmsk = val;
        break;
    case GASA_SEFOVRMSK:
        s->sefovrmsk = val;
        break;
    case GASA_SEGSIGSTS:
        s->segsigsts &= ~val;
        break;
    case GASA_SEGSIGMSK:
        s->segsigmsk = val;
        break;
    case GASA_SWP0MSGCTL0 ... GASA_SWPMSGCTL_END - 1:
        swpmsgctl_write(s, addr, val);
        break;
    case GASA_TMPCTL ... GASA_TMP_END - 1:
        idt_ntb_temp_write(s, addr, val);
        break;
    case GASA_SWCTL ... GASA_SWPORT_END - 1:
    case GASA_SESTS:
    case GASA_GASAPROT:
    case GASA_NTMTBLPROT0 ... GASA_NTMTBLPROT_END - 1:
    case GASA_GDBELLSTS:
    case GASA_GODBELLMSK0 ... GASA_GIDBELLMSK_END - 1:
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write of 0x%x to read-only "
                      "global register 0x%x\n", val, addr);
        break;
    default:
        log_unimp(addr, "write");
        break;
    }
    idt_ntb_regs_publish(s);
}

uint32_t idt_ntb_gasa_read(IDTNTBState *s, uint32_t addr)
{
    uint32_t val;

    if (addr >= GASA_PORT_BASE && addr < GASA_PORT_END) {
        val = port_image_read(s, addr);
    } else {
        val = switch_read(s, addr);
    }
    trace_idt_ntb_gasa_read(s->part, addr, val);
    return val;
}

void idt_ntb_gasa_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    trace_idt_ntb_gasa_write(s->part, addr, val);
    if (addr >= GASA_PORT_BASE && addr < GASA_PORT_END) {
        port_image_write(s, addr, val);
    } else {
        switch_write(s, addr, val);
    }
}
