/*
 * IDT NTB port: what the core asks of it
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/msi.h"
#include "idt-ntb-gasa.h"
#include "idt-ntb-irq.h"
#include "idt-ntb-lut.h"
#include "idt-ntb-msg.h"
#include "idt-ntb-mw.h"
#include "idt-ntb-nt.h"
#include "idt-ntb-port.h"
#include "pci-ntb.h"

static bool admits(NTBPort *port)
{
    const IDTNTBState *s = idt_ntb_of(port);

    return (idt_ntb_pcicmd(s) & PCI_COMMAND_MASTER) &&
           (s->ntctl & R_NTCTL_CPEN_MASK) &&
           (s->mtbl & R_NTMTBLDATA_VALID_MASK);
}

static void show_levels(NTBPort *port)
{
    IDTNTBState *s = idt_ntb_of(port);
    IDTNTBShmArea *area = idt_ntb_area(port->own);

    qatomic_set(&port->own->pcicmd, idt_ntb_pcicmd(s));
    qatomic_set(&area->ntctl, s->ntctl);
    qatomic_set(&area->mtbl, s->mtbl);
    qatomic_set(&area->pcielctlsts,
                pci_default_read_config(PCI_DEVICE(s), A_PCIELCTLSTS, 4));
}

static void take_levels(NTBPort *port, unsigned part)
{
    NTBShmPort *block = ntb_block(port, part);
    const IDTNTBShmArea *area = idt_ntb_area(block);

    idt_ntb_of(port)->peer[part] = (IDTNTBLevels) {
        .pcicmd = qatomic_read(&block->pcicmd) & 0xffff,
        .ntctl = qatomic_read(&area->ntctl) & NTCTL_MASK,
        .mtbl = qatomic_read(&area->mtbl) & NTMTBLDATA_MASK,
        .pcielctlsts = qatomic_read(&area->pcielctlsts),
    };
}

static void irq_changed(NTBPort *port)
{
    idt_ntb_irq_record_unheard(idt_ntb_of(port));
    idt_ntb_irq_update(idt_ntb_of(port));
}

static void publish_msi(IDTNTBState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    MSIMessage msg;

    if (!msi_present(pdev)) {
        return;
    }
    msg = msi_get_message(pdev, 0);
    ntb_shm_set64(&s->port.own->msi_addr, msg.address);
    qatomic_set(&s->port.own->msi_data, msg.data);
    qatomic_set(&s->port.own->msi_ctl,
                pci_get_word(pdev->config + pdev->msi_cap + PCI_MSI_FLAGS));
}

static void publish(NTBPort *port)
{
    IDTNTBState *s = idt_ntb_of(port);

    pci_ntb_publish_bars(port, PCI_DEVICE(s));
    publish_msi(s);
    idt_ntb_nt_publish(s);
    idt_ntb_gasa_publish(s);
    idt_ntb_msg_publish(s);
    idt_ntb_lut_publish(s);
}

static void reset_link(NTBPort *port)
{
    IDTNTBState *s = idt_ntb_of(port);

    s->ntctl = 0;
    s->mtbl = 0;
}

static AddressSpace *dma(NTBPort *port)
{
    return pci_device_iommu_address_space(PCI_DEVICE(idt_ntb_of(port)));
}

const NTBPortOps idt_ntb_port_ops = {
    .name = "idt-ntb",
    .translation = idt_ntb_mw_translation,
    .may_send = idt_ntb_mw_may_send,
    .admits = admits,
    .show_levels = show_levels,
    .take_levels = take_levels,
    .event = idt_ntb_event,
    .irq_changed = irq_changed,
    .publish = publish,
    .reset = reset_link,
    .dma = dma,
};
