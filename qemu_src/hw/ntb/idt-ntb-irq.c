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

static void signal_msi(IDTNTBState *s, uint32_t pending)
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
        return;
    }
    rising = pending & ~s->irq_seen;
    s->irq_seen = pending;
    if (rising) {
        NTB_COUNT(&s->port, msi);
        trace_idt_ntb_irq(s->port.part, "MSI", rising, pending);
        msi_notify(pdev, 0);
    }
}

static void signal_intx(IDTNTBState *s, uint32_t pending)
{
    if (s->irq_msi) {
        s->irq_msi = false;
        s->irq_seen = 0;
    }
    pci_set_irq(PCI_DEVICE(s), pending != 0);
    if (idt_ntb_pcicmd(s) & PCI_COMMAND_INTX_DISABLE) {
        pending = 0;            /* not sent; the bus sends it once it may */
    }
    if (pending && !s->irq_seen) {
        NTB_COUNT(&s->port, msi);
        trace_idt_ntb_irq(s->port.part, "INTx", pending, pending);
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
        uint32_t pending = idt_ntb_irq_status(s) & ~s->ntintmsk;

        s->irq_again = false;
        /* msi_notify() itself does not check: it would write to address 0 */
        if (msi_enabled(PCI_DEVICE(s))) {
            signal_msi(s, pending);
        } else {
            signal_intx(s, pending);
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
}

void idt_ntb_irq_reset(IDTNTBState *s)
{
    s->irq_seen = 0;
    s->irq_msi = false;
    pci_set_irq(PCI_DEVICE(s), 0);
}
