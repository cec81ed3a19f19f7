/*
 * NTB port: what PCI functions that are one have in common
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_PCI_NTB_H
#define HW_NTB_PCI_NTB_H

#include "hw/pci/pci_device.h"
#include "ntb-port.h"

/* Where ntb_hw_idt.h expects them; ntb_hw_epf looks for them */
#define PCI_NTB_PCIE_CAP    0x040
#define PCI_NTB_PM_CAP      0x0c0
#define PCI_NTB_AER_CAP     0x100

/* PCI Express, power management, error reporting; @number: of the port */
bool pci_ntb_add_capabilities(PCIDevice *pdev, unsigned number, Error **errp);
/* Everything may be half done: a failed realize comes here as well */
void pci_ntb_remove_capabilities(PCIDevice *pdev);
/* In a reset's hold phase: PCI clears it unheard, or only later */
void pci_ntb_reset_command(PCIDevice *pdev);
/* Show tools where the guest has mapped the BARs */
void pci_ntb_publish_bars(NTBPort *port, PCIDevice *pdev);
/*
 * The end of unrealize: a guest can aim a message at the power switch of the
 * slot, so this may be in the middle of the device's own work. The device stays
 * in memory until that is over.
 */
void pci_ntb_stay_a_while(PCIDevice *pdev);

#endif /* HW_NTB_PCI_NTB_H */
