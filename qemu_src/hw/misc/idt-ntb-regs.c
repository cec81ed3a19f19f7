/*
 * IDT NTB port: the NT function's registers
 *
 * 89HPES24NT6AG2 NT endpoint registers 0x400-0x4ff and the pair that opens the
 * global space, seen alike through BAR0 and configuration space.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "idt-ntb-int.h"
#include "trace.h"

static const char *const reg_names[] = {
#define NAME(r) [(IDT_NTB_##r - IDT_NTB_REGS_START) / 4] = #r
    NAME(NTCTL), NAME(NTINTSTS), NAME(NTINTMSK), NAME(NTSDATA),
    NAME(NTGSIGNAL), NAME(NTIERRORMSK0), NAME(NTIERRORMSK1),
    NAME(OUTDBELLSET), NAME(INDBELLSTS), NAME(INDBELLMSK),
    NAME(MSGSTS), NAME(MSGSTSMSK),
    NAME(NTMTBLADDR), NAME(NTMTBLSTS), NAME(NTMTBLDATA), NAME(REQIDCAP),
    NAME(LUTOFFSET), NAME(LUTLDATA), NAME(LUTMDATA), NAME(LUTUDATA),
    NAME(NTUEEM), NAME(NTCEEM),
#undef NAME
};

const char *idt_ntb_reg_name(unsigned off)
{
    static const char *const bar_names[] = {
        "BARSETUP", "BARLIMIT", "BARLTBASE", "BARUTBASE"
    };
    unsigned i = (off - IDT_NTB_REGS_START) / 4;

    switch (off) {
    case 0 ... IDT_NTB_REGS_START - 1:
        return "PCI";
    case IDT_NTB_OUTMSG0 ... IDT_NTB_OUTMSG3:
        return "OUTMSG";
    case IDT_NTB_INMSG0 ... IDT_NTB_INMSG3:
        return "INMSG";
    case IDT_NTB_INMSGSRC0 ... IDT_NTB_INMSGSRC3:
        return "INMSGSRC";
    case IDT_NTB_BARSETUP0 ... IDT_NTB_BAR_END - 1:
        return bar_names[off / 4 % 4];
    case IDT_NTB_GASAADDR:
        return "GASAADDR";
    case IDT_NTB_GASADATA:
        return "GASADATA";
    }
    return i < ARRAY_SIZE(reg_names) && reg_names[i] ? reg_names[i] : "?";
}

/* The lowest configured partition that is not this one */
static unsigned first_peer(const IDTNTBState *s)
{
    return s->part == 0 ? 1 : 0;
}

/*
 * The driver uses INMSGSRC unchecked as an index into eight entries and takes
 * the result as a configured port, so nothing else may ever be read here.
 */
static uint32_t inmsgsrc_read(IDTNTBState *s, unsigned m)
{
    unsigned src = (idt_ntb_shm_get64(&s->own->inmsg[m]) >>
                    NTB_SHM_INMSG_SRC_SHIFT) & 7;

    return idt_ntb_is_peer(s, src) ? src : first_peer(s);
}

static uint32_t bar_read(IDTNTBState *s, unsigned off)
{
    const IDTNTBBarRegs *bar =
        &s->bar[(off - IDT_NTB_BARSETUP0) / IDT_NTB_BAR_STRIDE];

    switch (off % IDT_NTB_BAR_STRIDE) {
    case 0x0:
        return bar->setup;
    case 0x4:
        return bar->limit;
    case 0x8:
        return bar->ltbase;
    default:
        return bar->utbase;
    }
}

static void bar_write(IDTNTBState *s, unsigned off, uint32_t val)
{
    unsigned n = (off - IDT_NTB_BARSETUP0) / IDT_NTB_BAR_STRIDE;
    IDTNTBBarRegs *bar = &s->bar[n];

    switch (off % IDT_NTB_BAR_STRIDE) {
    case 0x0:
        /* The rest is locked; a BAR that is no window has no target either */
        if ((bar->setup & BARSETUP_EN) && !(bar->setup & BARSETUP_MODE_CFG)) {
            bar->setup = (bar->setup & ~BARSETUP_TPART_MASK) |
                         (val & BARSETUP_TPART_MASK);
        }
        break;
    case 0x4:
        bar->limit = val;
        break;
    case 0x8:
        bar->ltbase = val & ~3u;
        break;
    default:
        bar->utbase = val;
        break;
    }
    idt_ntb_mw_bar_programmed(s, n);
}

/* The table is switch-wide: each port's entry is kept by that port */
static uint32_t mtbl_read(IDTNTBState *s)
{
    unsigned part = s->ntmtbladdr & NTMTBLADDR_INDEX;

    if (part == s->part) {
        return s->mtbl;
    }
    return idt_ntb_is_peer(s, part) ? s->peer[part].mtbl : 0;
}

static void mtbl_write(IDTNTBState *s, uint32_t val)
{
    unsigned part = s->ntmtbladdr & NTMTBLADDR_INDEX;

    if (part != s->part) {
        s->ntmtblsts |= NTMTBLSTS_ERR;
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: port of partition %u may not "
                      "write mapping-table entry %u\n", s->part, part);
        return;
    }
    s->mtbl = val & NTMTBLDATA_MASK;
    idt_ntb_link_changed(s);
}

static void indbellsts_clear(IDTNTBState *s, uint32_t bits)
{
    uint32_t old = qatomic_fetch_and(&s->own->indbellsts, ~bits);

    s->db_seen &= ~bits;
    if (!(old & ~bits & ~s->indbellmsk)) {
        /* A bit that a peer sets from now on is a new edge */
        idt_ntb_irq_fell(s, NTINT_DBELL);
    }
}

static void msgsts_clear(IDTNTBState *s, uint32_t bits)
{
    uint32_t left = idt_ntb_msgsts(s) & ~bits;

    s->outmsgsts &= ~(bits & MSGSTS_OUT_MASK);
    for (unsigned m = 0; m < IDT_NTB_MSGS; m++) {
        if (bits & (1u << (MSGSTS_IN_SHIFT + m))) {
            idt_ntb_shm_msg_done(s->own, m);
        }
    }
    if (!(left & ~s->msgstsmsk)) {
        /* A message that comes from now on is a new edge */
        idt_ntb_irq_fell(s, NTINT_MSG);
    }
}

static void outmsg_write(IDTNTBState *s, unsigned m, uint32_t val)
{
    uint32_t route = s->swpmsgctl[m];
    unsigned part = (route & SWPMSGCTL_PART_MASK) >> SWPMSGCTL_PART_SHIFT;

    s->outmsg[m] = val;
    /* Clients look at the status right after the write */
    if (!idt_ntb_event_message(s, part, route & SWPMSGCTL_REG_MASK, val)) {
        s->outmsgsts |= 1u << m;
    }
}

static void ntgsignal_write(IDTNTBState *s, uint32_t val)
{
    if (val & NTGSIGNAL_SET) {
        idt_ntb_event_gsignal(s);
    }
}

static uint32_t nt_read(IDTNTBState *s, unsigned off, uint16_t requester_id)
{
    switch (off) {
    case IDT_NTB_NTCTL:
        return s->ntctl;
    case IDT_NTB_NTINTSTS:
        return idt_ntb_irq_status(s);
    case IDT_NTB_NTINTMSK:
        return s->ntintmsk;
    case IDT_NTB_NTSDATA:
        return s->ntsdata;
    case IDT_NTB_NTIERRORMSK0:
    case IDT_NTB_NTIERRORMSK1:
        return s->ntierrormsk[(off - IDT_NTB_NTIERRORMSK0) / 4];
    case IDT_NTB_INDBELLSTS:
        return qatomic_read(&s->own->indbellsts);
    case IDT_NTB_INDBELLMSK:
        return s->indbellmsk;
    case IDT_NTB_OUTMSG0 ... IDT_NTB_OUTMSG3:
        return s->outmsg[(off - IDT_NTB_OUTMSG0) / 4];
    case IDT_NTB_INMSG0 ... IDT_NTB_INMSG3:
        return idt_ntb_shm_get64(&s->own->inmsg[(off - IDT_NTB_INMSG0) / 4]);
    case IDT_NTB_INMSGSRC0 ... IDT_NTB_INMSGSRC3:
        return inmsgsrc_read(s, (off - IDT_NTB_INMSGSRC0) / 4);
    case IDT_NTB_MSGSTS:
        return idt_ntb_msgsts(s);
    case IDT_NTB_MSGSTSMSK:
        return s->msgstsmsk;
    case IDT_NTB_BARSETUP0 ... IDT_NTB_BAR_END - 1:
        return bar_read(s, off);
    case IDT_NTB_NTMTBLADDR:
        return s->ntmtbladdr;
    case IDT_NTB_NTMTBLSTS:
        return s->ntmtblsts;
    case IDT_NTB_NTMTBLDATA:
        return mtbl_read(s);
    case IDT_NTB_REQIDCAP:
        return requester_id;
    case IDT_NTB_LUTOFFSET ... IDT_NTB_LUTUDATA:
        return idt_ntb_lut_read(s, off);
    case IDT_NTB_NTGSIGNAL:             /* these read as zero by design */
    case IDT_NTB_OUTDBELLSET:
    case IDT_NTB_NTUEEM:
    case IDT_NTB_NTCEEM:
        return 0;
    }
    return 0;
}

static void nt_write(IDTNTBState *s, unsigned off, uint32_t val)
{
    switch (off) {
    case IDT_NTB_NTCTL:
        s->ntctl = val & NTCTL_MASK;
        idt_ntb_link_changed(s);
        break;
    case IDT_NTB_NTINTSTS:
        s->ntintsts &= ~(val & NTINT_STICKY);
        break;
    case IDT_NTB_NTINTMSK:
        s->ntintmsk = val & NTINT_ALL;
        break;
    case IDT_NTB_NTSDATA:
        s->ntsdata = val;
        break;
    case IDT_NTB_NTGSIGNAL:
        ntgsignal_write(s, val);
        break;
    case IDT_NTB_NTIERRORMSK0:
    case IDT_NTB_NTIERRORMSK1:
        s->ntierrormsk[(off - IDT_NTB_NTIERRORMSK0) / 4] = val;
        break;
    case IDT_NTB_OUTDBELLSET:
        idt_ntb_event_doorbell(s, val);
        break;
    case IDT_NTB_INDBELLSTS:
        indbellsts_clear(s, val);
        break;
    case IDT_NTB_INDBELLMSK:
        s->indbellmsk = val;
        break;
    case IDT_NTB_OUTMSG0 ... IDT_NTB_OUTMSG3:
        outmsg_write(s, (off - IDT_NTB_OUTMSG0) / 4, val);
        break;
    case IDT_NTB_MSGSTS:
        msgsts_clear(s, val);
        break;
    case IDT_NTB_MSGSTSMSK:
        s->msgstsmsk = val & MSGSTS_MASK;
        break;
    case IDT_NTB_BARSETUP0 ... IDT_NTB_BAR_END - 1:
        bar_write(s, off, val);
        break;
    case IDT_NTB_NTMTBLADDR:
        s->ntmtbladdr = val & NTMTBLADDR_MASK;
        break;
    case IDT_NTB_NTMTBLSTS:
        s->ntmtblsts &= ~(val & NTMTBLSTS_ERR);
        break;
    case IDT_NTB_NTMTBLDATA:
        mtbl_write(s, val);
        break;
    case IDT_NTB_LUTOFFSET ... IDT_NTB_LUTUDATA:
        idt_ntb_lut_write(s, off, val);
        break;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: write of 0x%x to read-only "
                      "register 0x%x (%s)\n", val, off, idt_ntb_reg_name(off));
        return;
    }
    idt_ntb_irq_update(s);
    idt_ntb_regs_publish(s);
}

static bool is_unimplemented(unsigned off)
{
    return !strcmp(idt_ntb_reg_name(off), "?");
}

uint32_t idt_ntb_reg_read(IDTNTBState *s, unsigned off, uint16_t requester_id)
{
    uint32_t val = 0;

    if (!s->own) {
        return ~0u;             /* unplugged while the access was on its way */
    }
    if (off < IDT_NTB_REGS_START) {
        val = pci_default_read_config(PCI_DEVICE(s), off, 4);
    } else if (off == IDT_NTB_GASAADDR) {
        val = s->gasaaddr;
    } else if (off == IDT_NTB_GASADATA) {
        val = idt_ntb_gasa_read(s, s->gasaaddr);
    } else if (is_unimplemented(off)) {
        qemu_log_mask(LOG_UNIMP, "idt-ntb: read of register 0x%x (%s) is not "
                      "implemented\n", off, idt_ntb_reg_name(off));
    } else {
        val = nt_read(s, off, requester_id);
    }
    trace_idt_ntb_reg_read(s->part, off, idt_ntb_reg_name(off), val);
    return val;
}

void idt_ntb_reg_write(IDTNTBState *s, unsigned off, uint32_t val)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (!s->own) {
        return;                 /* as above */
    }
    trace_idt_ntb_reg_write(s->part, off, idt_ntb_reg_name(off), val);
    if (off < IDT_NTB_REGS_START) {
        pdev->config_write(pdev, off, val, 4);
    } else if (off == IDT_NTB_GASAADDR) {
        s->gasaaddr = val & GASAADDR_MASK;
    } else if (off == IDT_NTB_GASADATA) {
        idt_ntb_gasa_write(s, s->gasaaddr, val);
    } else if (is_unimplemented(off)) {
        qemu_log_mask(LOG_UNIMP, "idt-ntb: write of 0x%x to register 0x%x (%s) "
                      "is not implemented\n", val, off, idt_ntb_reg_name(off));
    } else {
        nt_write(s, off, val);
    }
}

void idt_ntb_regs_reset(IDTNTBState *s)
{
    s->ntctl = 0;
    s->ntintsts = 0;
    s->ntintmsk = NTINT_ALL;
    s->ntsdata = 0;
    memset(s->ntierrormsk, 0, sizeof(s->ntierrormsk));
    s->indbellmsk = 0;
    s->db_seen = 0;
    memset(s->outmsg, 0, sizeof(s->outmsg));
    s->outmsgsts = 0;
    s->msgstsmsk = 0;
    for (unsigned n = 0; n < IDT_NTB_BARS; n++) {
        s->bar[n] = (IDTNTBBarRegs) { .setup = s->cfg.barsetup[n] };
    }
    idt_ntb_lut_reset(s);
    s->ntmtbladdr = s->ntmtblsts = s->mtbl = 0;
    s->gasaaddr = 0;
    memset(s->swpmsgctl, 0, sizeof(s->swpmsgctl));
    s->semsk = s->sepmsk = ~0u;
    s->selinkupsts = s->selinkdnsts = s->segsigsts = 0;
    s->selinkupmsk = s->selinkdnmsk = s->segsigmsk = ~0u;
    s->sefrstmsk = s->sehrstmsk = s->sefovrmsk = ~0u;
    idt_ntb_temp_reset(s);
}

void idt_ntb_regs_publish(IDTNTBState *s)
{
    IDTNTBShmPort *own = s->own;
    IDTNTBShmArea *area;

    if (!own) {
        return;
    }
    area = idt_ntb_shm_area(own);
#define MIRROR(f) qatomic_set(&area->f, s->f)
    MIRROR(indbellmsk);
    MIRROR(msgstsmsk);
    MIRROR(ntintmsk);
    MIRROR(outmsgsts);
    MIRROR(semsk);
    MIRROR(sepmsk);
    MIRROR(selinkupsts);
    MIRROR(selinkupmsk);
    MIRROR(selinkdnsts);
    MIRROR(selinkdnmsk);
    MIRROR(segsigsts);
    MIRROR(segsigmsk);
#undef MIRROR
    qatomic_set(&area->ntintsts, idt_ntb_irq_status(s));
    qatomic_set(&own->mw_open, idt_ntb_mw_open_mask(s));
    qatomic_set(&own->mw_trapped, idt_ntb_mw_trapped_mask(s));
    for (unsigned m = 0; m < IDT_NTB_MSGS; m++) {
        qatomic_set(&area->swpmsgctl[m], s->swpmsgctl[m]);
    }
    for (unsigned n = 0; n < IDT_NTB_BARS; n++) {
        bool mapped = PCI_DEVICE(s)->io_regions[n].size;

        idt_ntb_shm_set64(&own->bar_addr[n],
                          mapped ? pci_get_bar_addr(PCI_DEVICE(s), n)
                                 : NTB_SHM_BAR_UNMAPPED);
    }
    for (unsigned i = 0; i < IDT_NTB_SHM_IMAGE_SIZE / 4; i++) {
        qatomic_set(&area->image[i],
                    nt_read(s, IDT_NTB_SHM_IMAGE_BASE + 4 * i, 0));
    }
}
