/*
 * Layout of the page that the ports of an emulated IDT NTB switch share
 *
 * This header is the only place where the layout is written down in C. It holds
 * nothing but constants and structures, so that tools outside QEMU can read it.
 * Every number is in host byte order; a reader checks `endian` first.
 *
 * Whoever reads another port's block must treat every value as hostile: the
 * process that writes it runs an untrusted guest.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_IDT_NTB_SHM_H
#define HW_MISC_IDT_NTB_SHM_H

/* "IDTNTBSW", high byte first */
#define IDT_NTB_SHM_MAGIC        0x4944544e54425357ULL
#define IDT_NTB_SHM_MAJOR        1          /* readers refuse any other */
#define IDT_NTB_SHM_MINOR        1          /* fields are only ever added */
#define IDT_NTB_SHM_ENDIAN       0x01020304
#define IDT_NTB_SHM_MODEL        0x8091     /* PCI device id of the switch */
#define IDT_NTB_SHM_MIN_SIZE     0x10000
#define IDT_NTB_SHM_PORT_OFF     0x2000
#define IDT_NTB_SHM_PORT_STRIDE  0x1000
#define IDT_NTB_SHM_MAX_PORTS    6          /* one partition each */
#define IDT_NTB_SHM_MAX_SEGS     16
#define IDT_NTB_SHM_NUM_MSG      4
#define IDT_NTB_SHM_NUM_BARS     6
#define IDT_NTB_SHM_LUT_BARS     2          /* BAR2 and BAR4 */
#define IDT_NTB_SHM_LUT_ENTRIES  24         /* of each, the most there are */
#define IDT_NTB_SHM_IMAGE_BASE   0x400      /* first register in `image` */
#define IDT_NTB_SHM_IMAGE_SIZE   0x100      /* bytes */

/*
 * Byte-range locks on the shared file say who is alive; the bytes are no data.
 * The first is held while the header is set up, the others, + partition, by the
 * owner of a port.
 */
#define IDT_NTB_SHM_LOCK_INIT    0x40
#define IDT_NTB_SHM_LOCK_PORT    0x100

/* idt_ntb_shm_header.cfg_flags */
/* doorbells also reach their sender */
#define IDT_NTB_SHM_CFG_LOOPBACK 0x00000001
/* x-mirror-mw: see docs/device.md */
#define IDT_NTB_SHM_CFG_MIRROR_MW 0x00000002

/* idt_ntb_shm_port.state */
#define IDT_NTB_SHM_FREE         0
#define IDT_NTB_SHM_CLAIMED      1          /* has an owner, not on the link */
#define IDT_NTB_SHM_ATTACHED     2

/* idt_ntb_shm_port.flags */
/* `seg` is valid: RAM is in a shared file */
#define IDT_NTB_SHM_F_RAM_SHARED 0x00000001
/* DMA addresses are not physical ones */
#define IDT_NTB_SHM_F_IOMMU      0x00000002
/* ivshmem-server closed the connection */
#define IDT_NTB_SHM_F_SERVER_LOST 0x00000004

/* idt_ntb_shm_port.inmsg[] */
#define IDT_NTB_SHM_INMSG_FULL      0x8000000000000000ULL
#define IDT_NTB_SHM_INMSG_SRC_SHIFT 32 /* 3 bits: partition of the sender */

/* idt_ntb_shm_port.bar_addr[]: the guest has not mapped this BAR */
#define IDT_NTB_SHM_BAR_UNMAPPED    0xffffffffffffffffULL

/* At offset 0. Written once, under the init lock; read-only from then on. */
struct idt_ntb_shm_header {
    uint64_t magic;                     /* 0x000 */
    uint32_t major;                     /* 0x008 */
    uint32_t minor;                     /* 0x00c */
    uint32_t endian;                    /* 0x010 */
    uint32_t hdr_size;                  /* 0x014 bytes of this structure */
    uint32_t port_off;                  /* 0x018 */
    uint32_t port_stride;               /* 0x01c */
    uint32_t nports;                    /* 0x020 configured ports, 2..6 */
    uint32_t model;                     /* 0x024 */
    /* random, names this power cycle */
    uint64_t switch_nonce;              /* 0x028 */
    /* bit n: switch port n is an NT port */
    uint32_t port_bitmap;               /* 0x030 */
    uint32_t cfg_flags;                 /* 0x034 */
    uint32_t barsetup[IDT_NTB_SHM_NUM_BARS]; /* 0x038 alike on every port */
};                                      /* 0x050 */

/* One piece of a guest's RAM: [gpa, gpa + len) lies in its RAM file at off */
struct idt_ntb_shm_seg {
    uint64_t gpa;
    uint64_t len;
    uint64_t off;
};

/* One entry of a lookup table, as its three registers show it */
struct idt_ntb_shm_lut {
    uint32_t low;
    uint32_t high;
    uint32_t upper;
};

/*
 * The block of partition p is at port_off + p * port_stride.
 *
 * Written by the owner, unless the comment says otherwise. Owners store with
 * release semantics after the data that a value announces.
 */
struct idt_ntb_shm_port {
    /* identity */
    uint32_t state;                     /* 0x000 */
    /* switch port: 0, 2, 4, 6, 8, 12 */
    uint32_t port;                      /* 0x004 */
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
    uint32_t pcicmd;                    /* 0x044 PCI command register */
    uint32_t ntctl;                     /* 0x048 */
    /* mapping-table entry of this partition */
    uint32_t mtbl;                      /* 0x04c */
    uint32_t pcielctlsts;               /* 0x050 */
    /* rises when windows into here must close */
    uint32_t down_epoch;                /* 0x054 */
    uint32_t rsvd_058[10];              /* 0x058 */

    /* ack[q] is written by port q: its windows into here are closed so far */
    uint32_t ack[8];                    /* 0x080 */
    uint32_t rsvd_0a0[8];               /* 0x0a0 */

    /* inbox: any port ORs or exchanges, the owner ANDs or exchanges */
    uint32_t indbellsts;                /* 0x0c0 */
    uint32_t ev_linkup;                 /* 0x0c4 bit: switch port */
    uint32_t ev_linkdn;                 /* 0x0c8 bit: switch port */
    uint32_t ev_gsig;                   /* 0x0cc bit: partition */
    /* 1: the eventfd has been written */
    uint32_t kick_pending;              /* 0x0d0 */
    uint32_t rsvd_0d4[11];              /* 0x0d4 */

    /* inbound messages: senders and owner compare-and-swap whole words */
    uint64_t inmsg[IDT_NTB_SHM_NUM_MSG]; /* 0x100 data | source << 32 | FULL */
    uint64_t rsvd_120[4];               /* 0x120 */

    /* mirror of private state, for tools; no port reads another's */
    uint32_t indbellmsk;                /* 0x140 */
    uint32_t msgstsmsk;                 /* 0x144 */
    uint32_t ntintsts;                  /* 0x148 as the guest would read it */
    uint32_t ntintmsk;                  /* 0x14c */
    uint32_t outmsgsts;                 /* 0x150 bits 3:0 */
    uint32_t semsk;                     /* 0x154 */
    uint32_t sepmsk;                    /* 0x158 */
    uint32_t selinkupsts;               /* 0x15c */
    uint32_t selinkupmsk;               /* 0x160 */
    uint32_t selinkdnsts;               /* 0x164 */
    uint32_t selinkdnmsk;               /* 0x168 */
    uint32_t segsigsts;                 /* 0x16c */
    uint32_t segsigmsk;                 /* 0x170 */
    /* bit n: window n reaches the peer now */
    uint32_t mw_open;                   /* 0x174 */
    /* bit n: window n is open, and some of it traps */
    uint32_t mw_trapped;                /* 0x178 */
    uint32_t rsvd_17c[1];               /* 0x17c */

    /* this guest's RAM; ram_seq is odd while the rest is being written */
    uint32_t ram_seq;                   /* 0x180 */
    uint32_t nseg;                      /* 0x184 */
    /* of the RAM file, as in struct stat */
    uint64_t ram_dev;                   /* 0x188 */
    uint64_t ram_ino;                   /* 0x190 */
    uint64_t ram_size;                  /* 0x198 */
    struct idt_ntb_shm_seg seg[IDT_NTB_SHM_MAX_SEGS]; /* 0x1a0 */
    uint32_t rsvd_320[16];              /* 0x320 */

    /* message routes, for tools */
    uint32_t swpmsgctl[IDT_NTB_SHM_NUM_MSG]; /* 0x360 */
    /* temperature sensor, for tools */
    uint32_t tmpctl;                    /* 0x370 */
    uint32_t tmpsts;                    /* 0x374 */
    uint32_t tmpalarm;                  /* 0x378 */
    uint32_t tmpadj;                    /* 0x37c */
    /* where the guest mapped its BARs */
    uint64_t bar_addr[IDT_NTB_SHM_NUM_BARS]; /* 0x380 */
    uint32_t rsvd_3b0[20];              /* 0x3b0 */

    /* registers 0x400-0x4ff */
    uint32_t image[IDT_NTB_SHM_IMAGE_SIZE / 4]; /* 0x400 */

    /* statistics since attach */
    uint64_t db_tx;                     /* 0x500 doorbell writes */
    /* wake-ups that brought doorbell bits */
    uint64_t db_rx;                     /* 0x508 */
    uint64_t kicks;                     /* 0x510 eventfd writes */
    /* interrupts raised, MSI or INTx */
    uint64_t msi;                       /* 0x518 */
    uint64_t msg_tx;                    /* 0x520 */
    uint64_t msg_fail;                  /* 0x528 refused by the receiver */
    uint64_t win_map;                   /* 0x530 */
    uint64_t win_unmap;                 /* 0x538 */
    /* accesses that trapped, closed or copied */
    uint64_t win_trap;                  /* 0x540 */
    uint64_t quiesce_timeouts;          /* 0x548 */
    uint64_t rsvd_550[22];              /* 0x550 */

    /* lookup tables, for tools; zeros where a BAR has none */
    /* 0x600 */
    struct idt_ntb_shm_lut lut[IDT_NTB_SHM_LUT_BARS][IDT_NTB_SHM_LUT_ENTRIES];
};                                      /* 0x840 */

#endif /* HW_MISC_IDT_NTB_SHM_H */
