/*
 * EPF NTB port: registers and their fields
 *
 * Names and offsets are those of Linux
 * Documentation/PCI/endpoint/pci-ntb-function.rst and of
 * drivers/ntb/hw/epf/ntb_hw_epf.c, with EPF_ in front.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_DEFS_H
#define HW_NTB_EPF_NTB_DEFS_H

#include "hw/registerfields.h"

/* i.MX8, whose BARs are laid out as below ("mx8" in the driver) */
#define EPF_NTB_VENDOR_ID           0x1957
#define EPF_NTB_DEVICE_ID           0x0809

#define EPF_NTB_MSIX_CAP            0x0d0

/* BARs */
#define EPF_NTB_CONTROL_BAR         0
#define EPF_NTB_DB_BAR              2
#define EPF_NTB_FIRST_WINDOW_BAR    4

/* Parts of the control BAR, a page each */
#define EPF_NTB_PAGE_SIZE           0x1000
#define EPF_NTB_SPAD_OFF            0x1000
#define EPF_NTB_MSIX_TABLE_OFF      0x2000
#define EPF_NTB_MSIX_PBA_OFF        0x3000
#define EPF_NTB_CONTROL_SIZE        0x4000

/* Page 0 of the control BAR */
REG32(EPF_COMMAND, 0x000)
REG32(EPF_ARGUMENT, 0x004)
    FIELD(EPF_ARGUMENT, COUNT, 0, 16)           /* of CONFIGURE_DOORBELL */
    FIELD(EPF_ARGUMENT, MSIX, 16, 1)
REG16(EPF_CMD_STATUS, 0x008)
REG16(EPF_LINK_STATUS, 0x00a)
REG32(EPF_TOPOLOGY, 0x00c)
REG32(EPF_LOWER_ADDR, 0x010)
REG32(EPF_UPPER_ADDR, 0x014)
REG32(EPF_LOWER_SIZE, 0x018)
REG32(EPF_UPPER_SIZE, 0x01c)
REG32(EPF_MW_COUNT, 0x020)
REG32(EPF_MW1_OFFSET, 0x024)
REG32(EPF_SPAD_OFFSET, 0x028)
REG32(EPF_SPAD_COUNT, 0x02c)
REG32(EPF_DB_ENTRY_SIZE, 0x030)
REG32(EPF_DB_DATA0, 0x034)
REG32(EPF_DB_OFFSET0, 0x0b4)

/* EPF_CMD_STATUS */
#define EPF_STATUS_OK               1
#define EPF_STATUS_ERROR            2

/* EPF_COMMAND */
#define EPF_CMD_CONFIGURE_DOORBELL  1
#define EPF_CMD_TEARDOWN_DOORBELL   2
#define EPF_CMD_CONFIGURE_MW        3
#define EPF_CMD_TEARDOWN_MW         4
#define EPF_CMD_LINK_UP             5
#define EPF_CMD_LINK_DOWN           6

/* MSI-X vectors: doorbell bit b of the driver is vector b + 2 */
#define EPF_VECTOR_LINK             0
#define EPF_VECTOR_NEVER            1           /* a hole: must never come */
#define EPF_VECTOR_FIRST_DB         2

#endif /* HW_NTB_EPF_NTB_DEFS_H */
