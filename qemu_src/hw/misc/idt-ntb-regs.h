/*
 * IDT 89HPES24NT6AG2 NT function: registers and their fields
 *
 * Names follow the vendor's as used by Linux drivers/ntb/hw/idt/ntb_hw_idt.h,
 * without its IDT_NT_ and IDT_SW_ prefixes.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_IDT_NTB_REGS_H
#define HW_MISC_IDT_NTB_REGS_H

#define IDT_NTB_VENDOR_ID           0x111d
#define IDT_NTB_DEVICE_ID           0x8091
#define IDT_NTB_CFG_SIZE            0x1000

/* Capabilities in PCI configuration space, where ntb_hw_idt.h expects them */
#define IDT_NTB_PCIE_CAP            0x040
#define IDT_NTB_PM_CAP              0x0c0
#define IDT_NTB_MSI_CAP             0x0d0
#define IDT_NTB_AER_CAP             0x100

/* Standard registers that the driver reads through BAR0 or the global space */
#define IDT_NTB_PCICMDSTS           0x004
#define IDT_NTB_PCIELCAP            0x04c   /* port number in 31:24 */
#define IDT_NTB_PCIELCTLSTS         0x050   /* speed 19:16, width 25:20 */

/* The NT function's own registers: BAR0 and configuration space alike */
#define IDT_NTB_REGS_START          0x400
#define IDT_NTB_NTCTL               0x400
#define   NTCTL_IDPROTDIS             (1u << 0) /* no requester ID check */
#define   NTCTL_CPEN                  (1u << 1) /* translate completions */
#define   NTCTL_MASK                  0x0000000f
#define IDT_NTB_NTINTSTS            0x404
#define IDT_NTB_NTINTMSK            0x408
#define   NTINT_MSG                   (1u << 0)
#define   NTINT_DBELL                 (1u << 1)
#define   NTINT_SEVENT                (1u << 3)
#define   NTINT_FMCI                  (1u << 4) /* failover */
#define   NTINT_FMCC                  (1u << 5)
#define   NTINT_TMP                   (1u << 7)
#define   NTINT_STICKY                (NTINT_SEVENT | NTINT_FMCI | \
                                       NTINT_FMCC | NTINT_TMP)
#define   NTINT_ALL                   (NTINT_MSG | NTINT_DBELL | NTINT_STICKY)
#define IDT_NTB_NTSDATA             0x40c
#define IDT_NTB_NTGSIGNAL           0x410
#define   NTGSIGNAL_SET               0x00000001
#define IDT_NTB_NTIERRORMSK0        0x414
#define IDT_NTB_NTIERRORMSK1        0x418
#define IDT_NTB_OUTDBELLSET         0x420
#define IDT_NTB_INDBELLSTS          0x428
#define IDT_NTB_INDBELLMSK          0x42c
#define IDT_NTB_OUTMSG0             0x430
#define IDT_NTB_OUTMSG3             0x43c
#define IDT_NTB_INMSG0              0x440
#define IDT_NTB_INMSG3              0x44c
#define IDT_NTB_INMSGSRC0           0x450
#define IDT_NTB_INMSGSRC3           0x45c
#define IDT_NTB_MSGSTS              0x460
#define IDT_NTB_MSGSTSMSK           0x464
#define   MSGSTS_OUT_MASK             0x0000000f /* could not be delivered */
#define   MSGSTS_IN_SHIFT             16         /* arrived */
#define   MSGSTS_MASK                 0x000f000f

/* Six groups of four: BARSETUPn, BARLIMITn, BARLTBASEn, BARUTBASEn */
#define IDT_NTB_BARSETUP0           0x470
#define IDT_NTB_BAR_STRIDE          0x010
#define IDT_NTB_BAR_END             0x4d0
#define   BARSETUP_EN                 (1u << 31)
#define   BARSETUP_TPART_SHIFT        13
#define   BARSETUP_TPART_MASK         (7u << BARSETUP_TPART_SHIFT)
#define   BARSETUP_ATRAN_SHIFT        11
#define   BARSETUP_ATRAN_DIRECT       0
#define   BARSETUP_ATRAN_LUT12        1
#define   BARSETUP_ATRAN_LUT24        2
#define   BARSETUP_MODE_CFG           (1u << 10)
#define   BARSETUP_SIZE_SHIFT         4          /* log2 of the aperture */
#define   BARSETUP_PREF               (1u << 3)
#define   BARSETUP_TYPE_64            (2u << 1)
#define   BARLIMIT_GRANULE            0x400

#define IDT_NTB_NTMTBLADDR          0x4d0
#define   NTMTBLADDR_MASK             0x0000007f
#define   NTMTBLADDR_INDEX            0x0000003f
#define IDT_NTB_NTMTBLSTS           0x4d4
#define   NTMTBLSTS_ERR               (1u << 0)
#define IDT_NTB_NTMTBLDATA          0x4d8
#define   NTMTBLDATA_VALID            (1u << 0)
#define   NTMTBLDATA_MASK             0xe00fffff
#define IDT_NTB_REQIDCAP            0x4dc
#define IDT_NTB_LUTOFFSET           0x4e0
#define   LUTOFFSET_INDEX_MASK        0x0000001f
#define   LUTOFFSET_BAR_SHIFT         8
#define   LUTOFFSET_BAR_MASK          (7u << LUTOFFSET_BAR_SHIFT)
#define   LUTOFFSET_MASK              (LUTOFFSET_INDEX_MASK | \
                                       LUTOFFSET_BAR_MASK)
#define IDT_NTB_LUTLDATA            0x4e4
#define IDT_NTB_LUTMDATA            0x4e8
#define IDT_NTB_LUTUDATA            0x4ec
#define   LUTUDATA_PART_MASK          0x0000000f
#define   LUTUDATA_VALID              (1u << 31)
#define   LUTUDATA_MASK               (LUTUDATA_PART_MASK | LUTUDATA_VALID)
#define IDT_NTB_NTUEEM              0x4f0
#define IDT_NTB_NTCEEM              0x4f4

#define IDT_NTB_GASAADDR            0xff8
#define   GASAADDR_MASK               0x0003fffc
#define IDT_NTB_GASADATA            0xffc

/* Global address space: one 4 KiB image of each port's NT function ... */
#define GASA_PORT_BASE              0x01000
#define GASA_PORT_STRIDE            0x02000
#define GASA_PORT_END               0x32000

/* ... and the switch's registers, named as in ntb_hw_idt.h */
#define GASA_SWCTL                  0x3e000
#define GASA_SWCTL_END              0x3e100
#define GASA_SWPART0CTL             0x3e100
#define GASA_SWPART_STRIDE          0x00020
#define GASA_SWPART_END             0x3e200
#define   SWPARTSTS_ACTIVE            0x00004120 /* NT, upstream port, active */
#define   SWPARTSTS_USID_SHIFT        9
#define GASA_SWPORT0CTL             0x3e200
#define GASA_SWPORT_STRIDE          0x00020
#define GASA_SWPORT_END             0x3e500
#define   SWPORTSTS_LINKUP            (1u << 4)
#define   SWPORTSTS_MODE_NT           (3u << 6)
#define   SWPORTSTS_SWPART_SHIFT      10
#define GASA_GASAPROT               0x3e700
#define GASA_NTMTBLPROT0            0x3e710
#define GASA_NTMTBLPROT_END         0x3e730
#define GASA_SESTS                  0x3ec00
#define   SE_LINKUP                   (1u << 0)  /* SESTS and SEMSK */
#define   SE_LINKDN                   (1u << 1)
#define   SE_GSIGNAL                  (1u << 5)
#define GASA_SEMSK                  0x3ec04
#define GASA_SEPMSK                 0x3ec08
#define GASA_SELINKUPSTS            0x3ec0c
#define GASA_SELINKUPMSK            0x3ec10
#define GASA_SELINKDNSTS            0x3ec14
#define GASA_SELINKDNMSK            0x3ec18
#define GASA_SEFRSTSTS              0x3ec1c
#define GASA_SEFRSTMSK              0x3ec20
#define GASA_SEHRSTSTS              0x3ec24
#define GASA_SEHRSTMSK              0x3ec28
#define GASA_SEFOVRMSK              0x3ec2c
#define GASA_SEGSIGSTS              0x3ec30
#define GASA_SEGSIGMSK              0x3ec34
#define GASA_GDBELLSTS              0x3ec3c
#define GASA_GODBELLMSK0            0x3ed00
#define GASA_GIDBELLMSK0            0x3ed80
#define GASA_GIDBELLMSK_END         0x3ee00
#define GASA_SWP0MSGCTL0            0x3ee00 /* + 4 * partition + 0x20 * reg */
#define GASA_SWPMSGCTL_END          0x3ee80
#define   SWPMSGCTL_REG_MASK          0x00000003
#define   SWPMSGCTL_PART_SHIFT        4
#define   SWPMSGCTL_PART_MASK         (7u << SWPMSGCTL_PART_SHIFT)
#define   SWPMSGCTL_MASK              (SWPMSGCTL_REG_MASK | \
                                       SWPMSGCTL_PART_MASK)
#define GASA_TMPCTL                 0x3f1d4 /* thresholds: 7:0, 15:8, 23:16 */
#define   TMPCTL_PDOWN                (1u << 31)
#define GASA_TMPSTS                 0x3f1d8 /* now 7:0, low 15:8, high 23:16 */
#define GASA_TMPALARM               0x3f1dc
#define   TMPALARM_HISTORY            0x00ffff00
#define   TMPALARM_IRQ_SHIFT          24         /* six bits */
#define GASA_TMPADJ                 0x3f1e0 /* 7:0 signed */
#define GASA_TSSLOPE                0x3f1e4
#define GASA_TMP_END                0x3f1e8

#endif /* HW_MISC_IDT_NTB_REGS_H */
