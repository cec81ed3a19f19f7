/*
 * Layout of the shared page: what only a port of an IDT switch has
 *
 * Offsets are those in the port's block; see ntb_shm.h. Its owner alone writes
 * it. What other ports read of it is as hostile as the rest of the block.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_IDT_NTB_SHM_H
#define HW_NTB_IDT_NTB_SHM_H

#define IDT_NTB_SHM_MODEL        0x8091     /* ntb_shm_header.model */
#define IDT_NTB_SHM_NUM_MSG      4
#define IDT_NTB_SHM_LUT_BARS     2          /* BAR2 and BAR4 */
#define IDT_NTB_SHM_LUT_ENTRIES  24         /* of each, the most there are */
#define IDT_NTB_SHM_IMAGE_BASE   0x400      /* first register in `image` */
#define IDT_NTB_SHM_IMAGE_SIZE   0x100      /* bytes */

/* One entry of a lookup table, as its three registers show it */
struct idt_ntb_shm_lut {
    uint32_t low;
    uint32_t high;
    uint32_t upper;
};

struct idt_ntb_shm_area {
    /* what peers show their guests of this port's link */
    uint32_t ntctl;                     /* 0x600 */
    /* mapping-table entry of this partition */
    uint32_t mtbl;                      /* 0x604 */
    uint32_t pcielctlsts;               /* 0x608 */
    uint32_t rsvd_60c[1];               /* 0x60c */

    /* mirror of private state, for tools; no port reads another's */
    uint32_t indbellmsk;                /* 0x610 */
    uint32_t msgstsmsk;                 /* 0x614 */
    uint32_t ntintsts;                  /* 0x618 as the guest would read it */
    uint32_t ntintmsk;                  /* 0x61c */
    uint32_t outmsgsts;                 /* 0x620 bits 3:0 */
    uint32_t semsk;                     /* 0x624 */
    uint32_t sepmsk;                    /* 0x628 */
    uint32_t selinkupsts;               /* 0x62c */
    uint32_t selinkupmsk;               /* 0x630 */
    uint32_t selinkdnsts;               /* 0x634 */
    uint32_t selinkdnmsk;               /* 0x638 */
    uint32_t segsigsts;                 /* 0x63c */
    uint32_t segsigmsk;                 /* 0x640 */

    /* message routes; peers show them to their guests */
    uint32_t swpmsgctl[IDT_NTB_SHM_NUM_MSG]; /* 0x644 */
    /* temperature sensor, for tools */
    uint32_t tmpctl;                    /* 0x654 */
    uint32_t tmpsts;                    /* 0x658 */
    uint32_t tmpalarm;                  /* 0x65c */
    uint32_t tmpadj;                    /* 0x660 */
    uint32_t rsvd_664[39];              /* 0x664 */

    /* registers 0x400-0x4ff; peers show some of them to their guests */
    uint32_t image[IDT_NTB_SHM_IMAGE_SIZE / 4]; /* 0x700 */

    /* lookup tables, for tools; zeros where a BAR has none */
    /* 0x800 */
    struct idt_ntb_shm_lut lut[IDT_NTB_SHM_LUT_BARS][IDT_NTB_SHM_LUT_ENTRIES];
};                                      /* 0xa40 */

#endif /* HW_NTB_IDT_NTB_SHM_H */
