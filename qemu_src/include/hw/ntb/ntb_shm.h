/*
 * Layout of the page that the NT ports of an emulated switch share
 *
 * This header and those of the device areas beside it are the only places where
 * the layout is written down in C. They hold nothing but constants and
 * structures, so that tools outside QEMU can read them. Every number is in host
 * byte order; a reader checks `endian` first.
 *
 * Whoever reads another port's block must treat every value as hostile: the
 * process that writes it runs an untrusted guest.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_SHM_H
#define HW_NTB_NTB_SHM_H

/* "IDTNTBSW", high byte first */
#define NTB_SHM_MAGIC        0x4944544e54425357ULL
#define NTB_SHM_MAJOR        2          /* readers refuse any other */
#define NTB_SHM_MINOR        0          /* fields are only ever added */
#define NTB_SHM_ENDIAN       0x01020304
#define NTB_SHM_MIN_SIZE     0x10000
#define NTB_SHM_PORT_OFF     0x2000
#define NTB_SHM_PORT_STRIDE  0x1000
#define NTB_SHM_DEVICE_OFF   0x600      /* of the device area, in a block */
#define NTB_SHM_DEVICE_SIZE  0xa00
#define NTB_SHM_MAX_PORTS    6          /* one partition each */
#define NTB_SHM_MAX_SEGS     16
#define NTB_SHM_NUM_MSG      4
#define NTB_SHM_NUM_SPAD     64
#define NTB_SHM_NUM_BARS     6

/*
 * Byte-range locks on the shared file say who is alive; the bytes are no data.
 * The first is held while the header is set up, the others, + partition, by the
 * owner of a port.
 */
#define NTB_SHM_LOCK_INIT    0x40
#define NTB_SHM_LOCK_PORT    0x100

/* ntb_shm_header.cfg_flags */
/* doorbells also reach their sender */
#define NTB_SHM_CFG_LOOPBACK 0x00000001
/* x-mirror-mw: see docs/device.md */
#define NTB_SHM_CFG_MIRROR_MW 0x00000002

/* ntb_shm_port.state */
#define NTB_SHM_FREE         0
#define NTB_SHM_CLAIMED      1          /* has an owner, not on the link */
#define NTB_SHM_ATTACHED     2

/* ntb_shm_port.flags */
/* `seg` is valid: RAM is in a shared file */
#define NTB_SHM_F_RAM_SHARED 0x00000001
/* DMA addresses are not physical ones */
#define NTB_SHM_F_IOMMU      0x00000002
/* ivshmem-server closed the connection */
#define NTB_SHM_F_SERVER_LOST 0x00000004

/* ntb_shm_port.inmsg[] */
#define NTB_SHM_INMSG_FULL      0x8000000000000000ULL
#define NTB_SHM_INMSG_SRC_SHIFT 32 /* 3 bits: partition of the sender */

/* ntb_shm_port.bar_addr[]: the guest has not mapped this BAR */
#define NTB_SHM_BAR_UNMAPPED    0xffffffffffffffffULL

/* At offset 0. Written once, under the init lock; read-only from then on. */
struct ntb_shm_header {
    uint64_t magic;                     /* 0x000 */
    uint32_t major;                     /* 0x008 */
    uint32_t minor;                     /* 0x00c */
    uint32_t endian;                    /* 0x010 */
    uint32_t hdr_size;                  /* 0x014 bytes of this structure */
    uint32_t port_off;                  /* 0x018 */
    uint32_t port_stride;               /* 0x01c */
    uint32_t nports;                    /* 0x020 configured ports, 2..6 */
    /* PCI device id of every port; says what device areas hold */
    uint32_t model;                     /* 0x024 */
    /* random, names this power cycle */
    uint64_t switch_nonce;              /* 0x028 */
    /* bit n: switch port n is an NT port */
    uint32_t port_bitmap;               /* 0x030 */
    uint32_t cfg_flags;                 /* 0x034 */
    uint32_t barsetup[NTB_SHM_NUM_BARS]; /* 0x038 alike on every port */
    /* of the event ring of partition 0; 0: nothing is recorded */
    uint32_t ring_off;                  /* 0x050 */
    uint32_t ring_stride;               /* 0x054 */
    uint32_t ring_entries;              /* 0x058 of each ring */
    uint32_t rsvd_05c[1];               /* 0x05c */
};                                      /* 0x060 */

/* One piece of a guest's RAM: [gpa, gpa + len) lies in its RAM file at off */
struct ntb_shm_seg {
    uint64_t gpa;
    uint64_t len;
    uint64_t off;
};

/*
 * The block of partition p is at port_off + p * port_stride.
 *
 * Written by the owner, unless the comment says otherwise. Owners store with
 * release semantics after the data that a value announces.
 */
struct ntb_shm_port {
    /* identity */
    uint32_t state;                     /* 0x000 */
    uint32_t port;                      /* 0x004 switch port */
    uint32_t part;                      /* 0x008 partition, 0..5 */
    uint32_t ivshmem_id;                /* 0x00c */
    uint64_t incarnation;               /* 0x010 random, new at each attach */
    uint64_t pid;                       /* 0x018 */
    uint64_t start_ns;                  /* 0x020 CLOCK_REALTIME at attach, ns */
    uint32_t flags;                     /* 0x028 */
    /* of ivshmem-server; ivshmem_id is its */
    uint32_t server_pid;                /* 0x02c */
    uint32_t rsvd_030[4];               /* 0x030 */

    /* levels that decide about the link, stored before any event about them */
    uint32_t linkup;                    /* 0x040 */
    /* peers may write into this guest's RAM */
    uint32_t admits;                    /* 0x044 */
    /* rises when windows into here must close */
    uint32_t down_epoch;                /* 0x048 */
    uint32_t pcicmd;                    /* 0x04c PCI command register */
    /* what MSI is set to; msi_ctl is message control, 0: there is no MSI */
    uint64_t msi_addr;                  /* 0x050 */
    uint32_t msi_ctl;                   /* 0x058 */
    uint32_t msi_data;                  /* 0x05c */
    uint32_t rsvd_060[8];               /* 0x060 */

    /* ack[q] is written by port q: its windows into here are closed so far */
    uint32_t ack[8];                    /* 0x080 */
    uint32_t rsvd_0a0[8];               /* 0x0a0 */

    /* inbox: any port ORs or exchanges, the owner ANDs or exchanges */
    uint32_t indbellsts;                /* 0x0c0 doorbells */
    uint32_t ev_linkup;                 /* 0x0c4 bit: partition */
    uint32_t ev_linkdn;                 /* 0x0c8 bit: partition */
    uint32_t ev_gsig;                   /* 0x0cc bit: partition */
    /* 1: the eventfd has been written */
    uint32_t kick_pending;              /* 0x0d0 */
    uint32_t rsvd_0d4[11];              /* 0x0d4 */

    /* inbound messages: senders and owner compare-and-swap whole words */
    uint64_t inmsg[NTB_SHM_NUM_MSG];    /* 0x100 data | source << 32 | FULL */
    uint64_t rsvd_120[4];               /* 0x120 */

    /* scratchpads: any port writes */
    uint32_t spad[NTB_SHM_NUM_SPAD];    /* 0x140 */

    /* this guest's RAM; ram_seq is odd while the rest is being written */
    uint32_t ram_seq;                   /* 0x240 */
    uint32_t nseg;                      /* 0x244 */
    /* of the RAM file, as in struct stat */
    uint64_t ram_dev;                   /* 0x248 */
    uint64_t ram_ino;                   /* 0x250 */
    uint64_t ram_size;                  /* 0x258 */
    struct ntb_shm_seg seg[NTB_SHM_MAX_SEGS]; /* 0x260 */
    uint64_t rsvd_3e0[4];               /* 0x3e0 */

    /* where the guest mapped its BARs, and which windows work; for tools */
    uint64_t bar_addr[NTB_SHM_NUM_BARS]; /* 0x400 */
    /* bit n: window n reaches the peer now */
    uint32_t mw_open;                   /* 0x430 */
    /* bit n: window n is open, and some of it traps */
    uint32_t mw_trapped;                /* 0x434 */
    uint64_t rsvd_438[9];               /* 0x438 */

    /* statistics since attach */
    uint64_t db_tx;                     /* 0x480 doorbell writes */
    /* wake-ups that brought doorbell bits */
    uint64_t db_rx;                     /* 0x488 */
    uint64_t kicks;                     /* 0x490 eventfd writes */
    /* interrupts raised, MSI or INTx */
    uint64_t msi;                       /* 0x498 */
    uint64_t msg_tx;                    /* 0x4a0 */
    uint64_t msg_fail;                  /* 0x4a8 refused by the receiver */
    uint64_t win_map;                   /* 0x4b0 */
    uint64_t win_unmap;                 /* 0x4b8 */
    /* accesses that trapped, closed or copied */
    uint64_t win_trap;                  /* 0x4c0 */
    uint64_t quiesce_timeouts;          /* 0x4c8 */
    uint64_t rsvd_4d0[38];              /* 0x4d0 */

    /* what only ports of this model have: see the header of the model */
    uint32_t device[NTB_SHM_DEVICE_SIZE / 4]; /* 0x600 */
};                                      /* 0x1000 */

#endif /* HW_NTB_NTB_SHM_H */
