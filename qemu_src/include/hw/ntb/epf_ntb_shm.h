/*
 * Layout of the shared page: what only a port of an NTB endpoint function has
 *
 * Offsets are those in the port's block; see ntb_shm.h. Its owner alone writes
 * it. The other port reads `mw`, which is as hostile as the rest of the block.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_SHM_H
#define HW_NTB_EPF_NTB_SHM_H

#define EPF_NTB_SHM_MODEL        0x0809     /* ntb_shm_header.model */
#define EPF_NTB_SHM_NUM_MW       4          /* the most that a map has */
#define EPF_NTB_SHM_NUM_DB       32         /* doorbells, by MSI-X vector */

/* epf_ntb_shm_mw.state */
#define EPF_NTB_SHM_MW_NONE      0
#define EPF_NTB_SHM_MW_SET       1
#define EPF_NTB_SHM_MW_REFUSED   2

/* epf_ntb_shm_mw.reason */
#define EPF_NTB_SHM_BAD_SIZE     1          /* 0, or more than the window's */
#define EPF_NTB_SHM_BAD_ALIGN    2          /* the address is in a page */
#define EPF_NTB_SHM_BAD_WRAP     3          /* the end is beyond 2^64 */

/* Where the peer's window leads in this guest, or was asked to lead */
struct epf_ntb_shm_mw {
    uint64_t addr;
    uint64_t size;
    uint32_t state;
    uint32_t reason;
};

struct epf_ntb_shm_area {
    /* the last command and its argument */
    uint32_t command;                   /* 0x600 */
    uint32_t argument;                  /* 0x604 */
    /* CMD_STATUS | LINK_STATUS << 16, as the guest would read them */
    uint32_t status;                    /* 0x608 */
    /* MSI-X vectors that may be raised; 0: CONFIGURE_DOORBELL is due */
    uint32_t vectors;                   /* 0x60c */
    /* LINK_UP is in force */
    uint32_t link_enabled;              /* 0x610 */
    /* the command that waits for the peer, 0: none */
    uint32_t pending;                   /* 0x614 */
    /* odd while `mw` is being written */
    uint32_t mw_seq;                    /* 0x618 */
    uint32_t spad_count;                /* 0x61c */
    struct epf_ntb_shm_mw mw[EPF_NTB_SHM_NUM_MW]; /* 0x620 */

    /* doorbells by the peer's vector: rung, and those that were raised here */
    uint64_t rung[EPF_NTB_SHM_NUM_DB];  /* 0x680 */
    uint64_t raised[EPF_NTB_SHM_NUM_DB]; /* 0x780 */
    /* not sent: the link was down, or the vector is none */
    uint64_t dropped_tx;                /* 0x880 */
    /* not raised: the link was down, or the vector is not in use */
    uint64_t dropped_rx;                /* 0x888 */
    uint64_t link_irqs;                 /* 0x890 */
    uint64_t commands;                  /* 0x898 */
    uint64_t refused;                   /* 0x8a0 commands */
    /* scratchpad reads that first took in what the peer had done */
    uint64_t take_ins;                  /* 0x8a8 */

    /* MSI-X: message control; bit n: vector n is masked, waits */
    uint32_t msix_ctl;                  /* 0x8b0 */
    uint32_t msix_masked;               /* 0x8b4 */
    uint32_t msix_pending;              /* 0x8b8 */
    /* what the next CONFIGURE_MW would take */
    uint32_t lower_addr;                /* 0x8bc */
    uint32_t upper_addr;                /* 0x8c0 */
    uint32_t lower_size;                /* 0x8c4 */
    uint32_t upper_size;                /* 0x8c8 */
    uint32_t rsvd_8cc[1];               /* 0x8cc */
};                                      /* 0x8d0 */

#endif /* HW_NTB_EPF_NTB_SHM_H */
