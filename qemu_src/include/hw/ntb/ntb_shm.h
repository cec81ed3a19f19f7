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
#define NTB_SHM_MINOR        1          /* fields are only ever added */
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
 * Event rings, in a file of NTB_SHM_RINGS_END bytes or more: a head, then the
 * entries. A ring has three lanes, so that neither much traffic nor a peer can
 * push out what the owner's guest has programmed.
 */
#define NTB_SHM_RING_OFF     0x10000
#define NTB_SHM_RING_STRIDE  0x21000
#define NTB_SHM_RING_FIRST   0x1000     /* of the entries, in a ring */
#define NTB_SHM_RING_ENTRIES 2048
#define NTB_SHM_RINGS_END    0xd6000
#define NTB_SHM_LANES        3
#define NTB_SHM_LANE_CONTROL 0          /* the first quarter of the entries */
#define NTB_SHM_LANE_TRAFFIC 1          /* the next half */
#define NTB_SHM_LANE_PEERS   2          /* the last quarter */

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
/* somebody pulled this port's cable */
#define NTB_SHM_F_UNPLUGGED  0x00000008

/* ntb_shm_port.inmsg[] */
#define NTB_SHM_INMSG_FULL      0x8000000000000000ULL
#define NTB_SHM_INMSG_SRC_SHIFT 32 /* 3 bits: partition of the sender */

/* ntb_shm_port.bar_addr[]: the guest has not mapped this BAR */
#define NTB_SHM_BAR_UNMAPPED    0xffffffffffffffffULL

/* ntb_shm_event.peer: no partition in particular */
#define NTB_SHM_NOBODY          0xffffffff

/*
 * ntb_shm_event.kind, and what num, a and b are; those below 32 are of the
 * control lane, those below 64 of the traffic lane, all others of the peers'
 */
/* a process owns the port: a its pid */
#define NTB_SHM_EV_JOIN         1
/* the port is on the link: a incarnation */
#define NTB_SHM_EV_ATTACH       2
#define NTB_SHM_EV_LEAVE        3
/* num: the level */
#define NTB_SHM_EV_LINK         4
/* num: the level */
#define NTB_SHM_EV_ADMITS       5
/* num 1: begins, 0: is over */
#define NTB_SHM_EV_RESET        6
/* the machine; num 1: runs, 0: stands still; a NTB_SHM_STOP_* */
#define NTB_SHM_EV_RUN          7
/* num: epoch; a: ns; b: mask of partitions that did not answer */
#define NTB_SHM_EV_QUIESCE      8
/* num: address of a register; a: new; b: old */
#define NTB_SHM_EV_REGISTER     9
/* PCI command register; a: new; b: old */
#define NTB_SHM_EV_COMMAND      10
/* num: message control; a: address; b: data */
#define NTB_SHM_EV_MSI          11
/* num: window, programmed for peer; a: address there; b: bytes, 0: nowhere */
#define NTB_SHM_EV_TRANSLATION  12
/* num: window, NTB_SHM_EV_TRAPPED too; a: address in peer; b: bytes reached */
#define NTB_SHM_EV_WINDOW_OPEN  13
/* num: window; a: NTB_SHM_CLOSE_* */
#define NTB_SHM_EV_WINDOW_CLOSE 14
/* num 1: ivshmem-server is there, 0: lost */
#define NTB_SHM_EV_SERVER       15
/* num 1: plugged in, 0: pulled */
#define NTB_SHM_EV_CABLE        16
/* told to all peers; num: NTB_SHM_NEWS_* */
#define NTB_SHM_EV_NEWS         17
/* num: mask of partitions rung; a: bits; b: those set already, somewhere */
#define NTB_SHM_EV_DB_SENT      32
/* the guest clears doorbells; a: those cleared; b: those still set */
#define NTB_SHM_EV_DB_TAKEN     33
/* num: register of peer; a: data */
#define NTB_SHM_EV_MSG_SENT     34
/* num: register of peer; a: data; b: NTB_SHM_REFUSED_* */
#define NTB_SHM_EV_MSG_REFUSED  35
/* the guest empties register num; a: data, from peer */
#define NTB_SHM_EV_MSG_TAKEN    36
/* peer is woken; num: NTB_SHM_KICK_* */
#define NTB_SHM_EV_KICK         37
/* num: address of a mask register; a: new; b: old */
#define NTB_SHM_EV_MASK         38
/* num 0: by MSI, 1: by INTx; a: new causes; b: all pending */
#define NTB_SHM_EV_IRQ          39
/* no interrupt; num: NTB_SHM_QUIET_*; a: causes; b: all pending */
#define NTB_SHM_EV_QUIET        40
/* made for tests; num 1: doorbells lost, 2: late; a: bits; b: ns */
#define NTB_SHM_EV_FAULT        41
/* a: doorbells that came in */
#define NTB_SHM_EV_DB_IN        64
/* num: register; a: data, from peer */
#define NTB_SHM_EV_MSG_IN       65
/* another port has written to the eventfd */
#define NTB_SHM_EV_WOKEN        66
/* num: NTB_SHM_NEWS_*; a: mask of partitions that tell */
#define NTB_SHM_EV_NEWS_IN      67
/* a: incarnation of peer */
#define NTB_SHM_EV_PEER_THERE   68
/* num 1: its process has ended, 0: it has left */
#define NTB_SHM_EV_PEER_GONE    69
/* num: the level that peer shows */
#define NTB_SHM_EV_PEER_LINK    70
/* num: the level that peer shows */
#define NTB_SHM_EV_PEER_ADMITS  71

/* NTB_SHM_EV_WINDOW_OPEN, in num: some of it is copied, not mapped */
#define NTB_SHM_EV_TRAPPED      0x80000000
/* why the machine stands still */
#define NTB_SHM_STOP_OTHER      0
#define NTB_SHM_STOP_PAUSED     1
#define NTB_SHM_STOP_DEBUGGER   2
#define NTB_SHM_STOP_PANIC      3
#define NTB_SHM_STOP_SHUTDOWN   4
#define NTB_SHM_STOP_ERROR      5
/* why a window closes, the first of these that holds */
#define NTB_SHM_CLOSE_OWN_LINK  1       /* this port is off the link */
#define NTB_SHM_CLOSE_NOWHERE   2       /* nothing is translated */
#define NTB_SHM_CLOSE_NO_SENDER 3       /* this port may not send */
#define NTB_SHM_CLOSE_PEER      4       /* the peer does not admit it */
#define NTB_SHM_CLOSE_RAM       5       /* no RAM of the peer lies there */
#define NTB_SHM_CLOSE_MOVED     6       /* it opens again elsewhere */
/* what is told to peers */
#define NTB_SHM_NEWS_LINK_UP    1
#define NTB_SHM_NEWS_LINK_DOWN  2
#define NTB_SHM_NEWS_SIGNAL     3
/* why a message is refused */
#define NTB_SHM_REFUSED_FULL    1       /* the register holds one */
#define NTB_SHM_REFUSED_DOWN    2       /* no link to that partition */
#define NTB_SHM_REFUSED_NOBODY  3       /* that is no other partition */
/* how a peer is woken */
#define NTB_SHM_KICK_FAILED     0       /* not at all: no eventfd to it */
#define NTB_SHM_KICK_SENT       1
#define NTB_SHM_KICK_PENDING    2       /* an earlier one is not taken yet */
/* why there is no interrupt */
#define NTB_SHM_QUIET_MASKED    1       /* the interrupt is */
#define NTB_SHM_QUIET_DB_MASKED 2       /* the doorbells are */
#define NTB_SHM_QUIET_MSG_MASKED 3      /* the messages are */
#define NTB_SHM_QUIET_TOLD      4       /* by one that is not answered yet */
#define NTB_SHM_QUIET_MASTER    5       /* bus mastering is off */
#define NTB_SHM_QUIET_INTX      6       /* INTx is disabled, MSI too */
#define NTB_SHM_QUIET_NEWS_MASKED 7     /* what peers tell is */

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

/* Of a ring, at ring_off + partition * ring_stride; only its owner writes */
struct ntb_shm_ring {
    /* entries ever written, by lane */
    uint64_t written[NTB_SHM_LANES];    /* 0x000 */
    uint32_t recording;                 /* 0x018 1: its owner does */
    uint32_t rsvd_01c[1];               /* 0x01c */
    /* CLOCK_MONOTONIC and CLOCK_REALTIME of the moment of the last JOIN */
    uint64_t mono_ns;                   /* 0x020 */
    uint64_t real_ns;                   /* 0x028 */
    uint64_t rsvd_030[2];               /* 0x030 */
};                                      /* 0x040 */

/* One entry; the n-th of a lane, from 0, is at n modulo the lane's size */
struct ntb_shm_event {
    uint64_t seq;                       /* 0x000 n + 1; 0: being written */
    uint64_t first_ns;                  /* 0x008 CLOCK_MONOTONIC */
    uint64_t last_ns;                   /* 0x010 of the last of `count` */
    uint32_t count;                     /* 0x018 */
    uint32_t kind;                      /* 0x01c */
    uint32_t peer;                      /* 0x020 partition */
    uint32_t num;                       /* 0x024 */
    uint64_t a;                         /* 0x028 */
    uint64_t b;                         /* 0x030 */
    uint64_t rsvd_038[1];               /* 0x038 */
};                                      /* 0x040 */

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
