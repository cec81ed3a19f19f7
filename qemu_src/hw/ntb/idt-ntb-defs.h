/*
 * IDT NTB port: registers and their fields of the 89HPES24NT6AG2
 *
 * Names follow the vendor's as used by Linux drivers/ntb/hw/idt/ntb_hw_idt.h,
 * without its IDT_NT_ and IDT_SW_ prefixes. Chapters in quotation marks are
 * those of docs/specs/idt-ntb.rst.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_DEFS_H
#define HW_NTB_IDT_NTB_DEFS_H

#include "hw/registerfields.h"

#define IDT_NTB_VENDOR_ID           0x111d
#define IDT_NTB_DEVICE_ID           0x8091
#define IDT_NTB_CFG_SIZE            0x1000

/* "Configuration space": where ntb_hw_idt.h expects it */
#define IDT_NTB_MSI_CAP             0x0d0

/* Standard registers that the driver reads through BAR0 or the global space */
REG32(PCICMDSTS, 0x004)
REG32(PCIELCAP, 0x04c)                          /* port number in 31:24 */
REG32(PCIELCTLSTS, 0x050)                       /* speed 19:16, width 25:20 */

/* "Registers": the NT function's own, BAR0 and configuration space alike */
#define IDT_NTB_REGS_START          0x400
REG32(NTCTL, 0x400)
    FIELD(NTCTL, IDPROTDIS, 0, 1)               /* no requester ID check */
    FIELD(NTCTL, CPEN, 1, 1)                    /* translate completions */
#define   NTCTL_MASK                  0x0000000f
/* "Interrupts" */
REG32(NTINTSTS, 0x404)
    FIELD(NTINTSTS, MSG, 0, 1)
    FIELD(NTINTSTS, DBELL, 1, 1)
    FIELD(NTINTSTS, SEVENT, 3, 1)
    FIELD(NTINTSTS, FMCI, 4, 1)                 /* failover */
    FIELD(NTINTSTS, FMCC, 5, 1)
    FIELD(NTINTSTS, TMP, 7, 1)
REG32(NTINTMSK, 0x408)
#define   NTINT_STICKY                (R_NTINTSTS_SEVENT_MASK | \
                                       R_NTINTSTS_FMCI_MASK | \
                                       R_NTINTSTS_FMCC_MASK | \
                                       R_NTINTSTS_TMP_MASK)
#define   NTINT_ALL                   (R_NTINTSTS_MSG_MASK | \
                                       R_NTINTSTS_DBELL_MASK | NTINT_STICKY)
REG32(NTSDATA, 0x40c)
REG32(NTGSIGNAL, 0x410)
    FIELD(NTGSIGNAL, SET, 0, 1)
REG32(NTIERRORMSK0, 0x414)
REG32(NTIERRORMSK1, 0x418)
/* "Doorbells" */
REG32(OUTDBELLSET, 0x420)
REG32(INDBELLSTS, 0x428)
REG32(INDBELLMSK, 0x42c)
/* "Messages": four of each */
REG32(OUTMSG0, 0x430)
REG32(INMSG0, 0x440)
REG32(INMSGSRC0, 0x450)
REG32(MSGSTS, 0x460)
    FIELD(MSGSTS, OUT, 0, 4)                    /* could not be delivered */
    FIELD(MSGSTS, IN, 16, 4)                    /* arrived */
REG32(MSGSTSMSK, 0x464)
#define   MSGSTS_MASK                 (R_MSGSTS_OUT_MASK | R_MSGSTS_IN_MASK)

/* "Memory windows": six groups of these four */
#define IDT_NTB_BAR_STRIDE          0x010
REG32(BARSETUP0, 0x470)
    FIELD(BARSETUP0, TYPE, 1, 2)
    FIELD(BARSETUP0, PREF, 3, 1)
    FIELD(BARSETUP0, SIZE, 4, 6)                /* log2 of the aperture */
    FIELD(BARSETUP0, MODE_CFG, 10, 1)
    FIELD(BARSETUP0, ATRAN, 11, 2)
    FIELD(BARSETUP0, TPART, 13, 3)
    FIELD(BARSETUP0, EN, 31, 1)
#define   BARSETUP_TYPE_64            2
#define   BARSETUP_ATRAN_DIRECT       0
#define   BARSETUP_ATRAN_LUT12        1
#define   BARSETUP_ATRAN_LUT24        2
REG32(BARLIMIT0, 0x474)
#define   BARLIMIT_GRANULE            0x400
REG32(BARLTBASE0, 0x478)
REG32(BARUTBASE0, 0x47c)
#define IDT_NTB_BAR_END             0x4d0

/* "Registers": the mapping table */
REG32(NTMTBLADDR, 0x4d0)
    FIELD(NTMTBLADDR, INDEX, 0, 6)
#define   NTMTBLADDR_MASK             0x0000007f
REG32(NTMTBLSTS, 0x4d4)
    FIELD(NTMTBLSTS, ERR, 0, 1)
REG32(NTMTBLDATA, 0x4d8)
    FIELD(NTMTBLDATA, VALID, 0, 1)
#define   NTMTBLDATA_MASK             0xe00fffff
REG32(REQIDCAP, 0x4dc)
/* "Memory windows": lookup tables */
REG32(LUTOFFSET, 0x4e0)
    FIELD(LUTOFFSET, INDEX, 0, 5)
    FIELD(LUTOFFSET, BAR, 8, 3)
#define   LUTOFFSET_MASK              (R_LUTOFFSET_INDEX_MASK | \
                                       R_LUTOFFSET_BAR_MASK)
REG32(LUTLDATA, 0x4e4)
REG32(LUTMDATA, 0x4e8)
REG32(LUTUDATA, 0x4ec)
    FIELD(LUTUDATA, PART, 0, 4)
    FIELD(LUTUDATA, VALID, 31, 1)
#define   LUTUDATA_MASK               (R_LUTUDATA_PART_MASK | \
                                       R_LUTUDATA_VALID_MASK)
REG32(NTUEEM, 0x4f0)
REG32(NTCEEM, 0x4f4)

REG32(GASAADDR, 0xff8)
REG32(GASADATA, 0xffc)
#define   GASAADDR_MASK               0x0003fffc

/* "Registers": one 4 KiB image of each port's NT function ... */
#define GASA_PORT_BASE              0x01000
#define GASA_PORT_STRIDE            0x02000
#define GASA_PORT_END               0x32000

/* ... and the switch's registers, named as in ntb_hw_idt.h */
REG32(SWCTL, 0x3e000)
REG32(SWPART0CTL, 0x3e100)
#define   GASA_SWPART_STRIDE          0x00020
#define   SWPARTSTS_ACTIVE            0x00004120 /* NT, upstream port, active */
#define   SWPARTSTS_USID_SHIFT        9
REG32(SWPORT0CTL, 0x3e200)
#define   GASA_SWPORT_STRIDE          0x00020
#define   SWPORTSTS_LINKUP            (1u << 4)
#define   SWPORTSTS_MODE_NT           (3u << 6)
#define   SWPORTSTS_SWPART_SHIFT      10
REG32(GASAPROT, 0x3e700)
REG32(NTMTBLPROT0, 0x3e710)
/* "Interrupts": events of the switch */
REG32(SESTS, 0x3ec00)
    FIELD(SESTS, LINKUP, 0, 1)
    FIELD(SESTS, LINKDN, 1, 1)
    FIELD(SESTS, GSIGNAL, 5, 1)
REG32(SEMSK, 0x3ec04)
REG32(SEPMSK, 0x3ec08)
REG32(SELINKUPSTS, 0x3ec0c)
REG32(SELINKUPMSK, 0x3ec10)
REG32(SELINKDNSTS, 0x3ec14)
REG32(SELINKDNMSK, 0x3ec18)
REG32(SEFRSTSTS, 0x3ec1c)
REG32(SEFRSTMSK, 0x3ec20)
REG32(SEHRSTSTS, 0x3ec24)
REG32(SEHRSTMSK, 0x3ec28)
REG32(SEFOVRMSK, 0x3ec2c)
REG32(SEGSIGSTS, 0x3ec30)
REG32(SEGSIGMSK, 0x3ec34)
REG32(GDBELLSTS, 0x3ec3c)
REG32(GODBELLMSK0, 0x3ed00)
REG32(GIDBELLMSK0, 0x3ed80)
REG32(SWP0MSGCTL0, 0x3ee00)                     /* + 4 * partition + 0x20 * n */
    FIELD(SWP0MSGCTL0, REG, 0, 2)
    FIELD(SWP0MSGCTL0, PART, 4, 3)
#define   SWPMSGCTL_MASK              (R_SWP0MSGCTL0_REG_MASK | \
                                       R_SWP0MSGCTL0_PART_MASK)
/* "Registers": the temperature sensor */
REG32(TMPCTL, 0x3f1d4)                          /* thresholds 7:0 15:8 23:16 */
    FIELD(TMPCTL, PDOWN, 31, 1)
REG32(TMPSTS, 0x3f1d8)                          /* now 7:0, low, high */
REG32(TMPALARM, 0x3f1dc)
#define   TMPALARM_HISTORY            0x00ffff00
#define   TMPALARM_IRQ_SHIFT          24        /* six bits */
REG32(TMPADJ, 0x3f1e0)                          /* 7:0 signed */
REG32(TSSLOPE, 0x3f1e4)
#define   GASA_SWITCH_END             0x3f200

#endif /* HW_NTB_IDT_NTB_DEFS_H */
