/*
 * IDT NTB port: interrupt status and signalling
 *
 * 89HPES24NT6AG2 NTINTSTS, NTINTMSK. Each cause has its own edge: one cause
 * that a driver leaves set must not hide another.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/msi.h"
#include "idt-ntb-irq.h"
#include "ntb-record.h"
#include "trace.h"

/* A guest may aim its MSI at the device itself; that must come to an end */
#define MAX_ROUNDS  8

uint32_t idt_ntb_msgsts(const IDTNTBState *s)
{
    uint32_t sts = s->outmsgsts;

    for (unsigned m = 0; m < IDT_NTB_MSGS; m++) {
        if (ntb_shm_get64(&s->port.own->inmsg[m]) & NTB_SHM_INMSG_FULL) {
            sts |= 1u << (R_MSGSTS_IN_SHIFT + m);
        }
    }
    return sts;
}

uint32_t idt_ntb_irq_status(const IDTNTBState *s)
{
    uint32_t sts = s->ntintsts;

    if (idt_ntb_msgsts(s) & ~s->msgstsmsk) {
        sts |= R_NTINTSTS_MSG_MASK;
    }
    if (qatomic_read(&s->port.own->indbellsts) & ~s->indbellmsk) {
        sts |= R_NTINTSTS_DBELL_MASK;
    }
    return sts;
}

void idt_ntb_irq_record_quiet(IDTNTBState *s, uint32_t why, uint32_t causes)
{
    if (causes) {
        ntb_record(&s->port, NTB_SHM_EV_QUIET, NTB_SHM_NOBODY, why, causes,
                   s->irq_was);
    }
}

void idt_ntb_irq_record_unheard(IDTNTBState *s)
{
    uint32_t bells = s->port.db_new;
    uint32_t messages = s->port.msg_new;
    uint32_t mask = FIELD_EX32(s->msgstsmsk, MSGSTS, IN);
    uint32_t told = 0;

    idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_DB_MASKED,
                             bells & s->indbellmsk);
    idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_MSG_MASKED, messages & mask);
    told |= bells & ~s->indbellmsk ? R_NTINTSTS_DBELL_MASK : 0;
    told |= messages & ~mask ? R_NTINTSTS_MSG_MASK : 0;
    idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_TOLD, told & s->irq_seen);
}

void idt_ntb_irq_record_msi(IDTNTBState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    IDTNTBMsi now = { 0 };
    MSIMessage msg;

    if (!msi_present(pdev)) {
        return;
    }
    msg = msi_get_message(pdev, 0);
    now.addr = msg.address;
    now.data = msg.data;
    now.ctl = pci_get_word(pdev->config + pdev->msi_cap + PCI_MSI_FLAGS);
    if (now.addr != s->msi.addr || now.data != s->msi.data ||
        now.ctl != s->msi.ctl) {
        s->msi = now;
        ntb_record(&s->port, NTB_SHM_EV_MSI, NTB_SHM_NOBODY, now.ctl, now.addr,
                   now.data);
    }
}

static void record_sent(IDTNTBState *s, uint32_t how, uint32_t rising,
                        uint32_t pending)
{
    NTB_COUNT(&s->port, msi);
    trace_idt_ntb_irq(s->port.part, how ? "INTx" : "MSI", rising, pending);
    ntb_record(&s->port, NTB_SHM_EV_IRQ, NTB_SHM_NOBODY, how, rising, pending);
}

static void signal_msi(IDTNTBState *s, uint32_t pending, uint32_t fresh)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint32_t rising;

    if (!s->irq_msi) {
        /* What INTx has told counts for nothing now */
        s->irq_msi = true;
        s->irq_seen = 0;
        pci_set_irq(pdev, 0);
    }
    if (!(idt_ntb_pcicmd(s) & PCI_COMMAND_MASTER)) {
        s->irq_seen = 0;        /* signal again once it can be delivered */
        idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_MASTER, pending & fresh);
        return;
    }
    rising = pending & ~s->irq_seen;
    s->irq_seen = pending;
    if (rising) {
        record_sent(s, 0, rising, pending);
        msi_notify(pdev, 0);
    }
}

static void signal_intx(IDTNTBState *s, uint32_t pending, uint32_t fresh)
{
    if (s->irq_msi) {
        s->irq_msi = false;
        s->irq_seen = 0;
    }
    pci_set_irq(PCI_DEVICE(s), pending != 0);
    if (idt_ntb_pcicmd(s) & PCI_COMMAND_INTX_DISABLE) {
        idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_INTX, pending & fresh);
        pending = 0;            /* not sent; the bus sends it once it may */
    }
    if (pending && !s->irq_seen) {
        record_sent(s, 1, pending, pending);
    }
    s->irq_seen = pending;
}

void idt_ntb_irq_update(IDTNTBState *s)
{
    if (!s->port.own) {
        return;
    }
    if (s->irq_busy) {
        s->irq_again = true;
        return;
    }
    s->irq_busy = true;
    /* An MSI may even unplug the device */
    for (int i = 0; i < MAX_ROUNDS && s->port.own; i++) {
        uint32_t status = idt_ntb_irq_status(s);
        uint32_t pending = status & ~s->ntintmsk;
        uint32_t fresh = status & ~s->irq_was;

        s->irq_again = false;
        s->irq_was = status;
        idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_MASKED, fresh & s->ntintmsk);
        /* msi_notify() itself does not check: it would write to address 0 */
        if (msi_enabled(PCI_DEVICE(s))) {
            signal_msi(s, pending, fresh);
        } else {
            signal_intx(s, pending, fresh);
        }
        if (!s->irq_again) {
            break;
        }
    }
    s->irq_busy = false;
}

void idt_ntb_irq_fell(IDTNTBState *s, uint32_t bits)
{
    s->irq_seen &= ~bits;
    s->irq_was &= ~bits;
}

void idt_ntb_irq_reset(IDTNTBState *s)
{
    s->irq_seen = s->irq_was = 0;
    s->irq_msi = false;
    pci_set_irq(PCI_DEVICE(s), 0);
}
