/*
 * EPF NTB port: what the core asks of it
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "epf-ntb-cmd.h"
#include "epf-ntb-irq.h"
#include "epf-ntb-mw.h"
#include "epf-ntb-port.h"
#include "epf-ntb-regs.h"
#include "pci-ntb.h"

/* The link is symmetric: who takes part in it may send and be written to */
static bool takes_part(NTBPort *port)
{
    const EPFNTBState *s = epf_ntb_of(port);

    return s->link_enabled && (epf_ntb_pcicmd(s) & PCI_COMMAND_MASTER);
}

static void show_levels(NTBPort *port)
{
    EPFNTBState *s = epf_ntb_of(port);

    qatomic_set(&port->own->pcicmd, epf_ntb_pcicmd(s));
    epf_ntb_mw_show(s);
}

static void take_levels(NTBPort *port, unsigned part)
{
    epf_ntb_mw_take(epf_ntb_of(port), part);
}

/* Levels say the rest; but a peer may be up again when they are looked at */
static void event(NTBPort *port, NTBEvent event, uint32_t parts)
{
    if (event == NTB_EVENT_LINK_DOWN) {
        epf_ntb_of(port)->link_fell = true;
    }
}

static void irq_changed(NTBPort *port)
{
    epf_ntb_cmd_check(epf_ntb_of(port));
    epf_ntb_irq_update(epf_ntb_of(port));
}

static void publish(NTBPort *port)
{
    EPFNTBState *s = epf_ntb_of(port);

    pci_ntb_publish_bars(port, PCI_DEVICE(s));
    epf_ntb_regs_publish(s);
}

static void reset_link(NTBPort *port)
{
    epf_ntb_of(port)->link_enabled = false;
}

static AddressSpace *dma(NTBPort *port)
{
    return pci_device_iommu_address_space(PCI_DEVICE(epf_ntb_of(port)));
}

const NTBPortOps epf_ntb_port_ops = {
    .name = "ntb-epf",
    .translation = epf_ntb_mw_translation,
    .may_send = takes_part,
    .admits = takes_part,
    .show_levels = show_levels,
    .take_levels = take_levels,
    .event = event,
    .irq_changed = irq_changed,
    .publish = publish,
    .reset = reset_link,
    .dma = dma,
};
