/*
 * NTB port: what PCI functions that are one have in common
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/pci/pcie_regs.h"
#include "pci-ntb.h"

static bool add_power_management(PCIDevice *pdev, Error **errp)
{
    if (pci_pm_init(pdev, PCI_NTB_PM_CAP, errp) < 0) {
        return false;
    }
    pci_set_word(pdev->config + PCI_NTB_PM_CAP + PCI_PM_PMC, 3);
    pci_set_word(pdev->config + PCI_NTB_PM_CAP + PCI_PM_CTRL,
                 PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(pdev->wmask + PCI_NTB_PM_CAP + PCI_PM_CTRL,
                 PCI_PM_CTRL_STATE_MASK);
    return true;
}

bool pci_ntb_add_capabilities(PCIDevice *pdev, unsigned number, Error **errp)
{
    uint8_t type = pci_bus_is_root(pci_get_bus(pdev)) ? PCI_EXP_TYPE_RC_END
                                                      : PCI_EXP_TYPE_ENDPOINT;

    if (pcie_cap_init(pdev, PCI_NTB_PCIE_CAP, type, number, errp) < 0) {
        return false;
    }
    pcie_cap_fill_link_ep_usp(pdev, QEMU_PCI_EXP_LNK_X4, QEMU_PCI_EXP_LNK_5GT);
    return add_power_management(pdev, errp) &&
           pcie_aer_init(pdev, PCI_ERR_VER, PCI_NTB_AER_CAP, PCI_ERR_SIZEOF,
                         errp) >= 0;
}

void pci_ntb_remove_capabilities(PCIDevice *pdev)
{
    if (pdev->exp.aer_cap) {
        pcie_aer_exit(pdev);
    }
    if (pdev->exp.exp_cap) {
        pcie_cap_exit(pdev);
    }
}

void pci_ntb_reset_command(PCIDevice *pdev)
{
    pci_word_test_and_clear_mask(pdev->config + PCI_COMMAND,
                                 pci_get_word(pdev->wmask + PCI_COMMAND));
}

void pci_ntb_publish_bars(NTBPort *port, PCIDevice *pdev)
{
    for (unsigned n = 0; n < NTB_SHM_NUM_BARS; n++) {
        ntb_shm_set64(&port->own->bar_addr[n],
                      pdev->io_regions[n].size ? pci_get_bar_addr(pdev, n)
                      : NTB_SHM_BAR_UNMAPPED);
    }
}

static void drop_reference(void *opaque)
{
    object_unref(OBJECT(opaque));
}

void pci_ntb_stay_a_while(PCIDevice *pdev)
{
    object_ref(OBJECT(pdev));
    aio_bh_schedule_oneshot(qemu_get_aio_context(), drop_reference, pdev);
}
