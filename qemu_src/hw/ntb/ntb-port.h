/*
 * NTB port: one port of a switch, whatever device the guest sees it as
 *
 * The core knows the shared page, the other ports, the link and the windows. It
 * has no bus and no register in it: a frontend embeds an NTBPort in its device
 * and answers for what its guest has programmed (NTBPortOps). Its modules, each
 * of which uses only those above it:
 *
 * ntb-shm      the shared page
 * ntb-client   the clients of ivshmem-server and their eventfds
 * ntb-warn     trouble of the host, told in bounded numbers
 * ntb-record   the flight recorder
 * ntb-fault    faults on purpose, for tests of drivers
 * ntb-ram      this guest's RAM table, the peers' RAM files
 * ntb-peer     the other ports as this one sees them
 * ntb-inbox    doorbells and messages that have come in
 * ntb-kick     what is sent to them: doorbells, messages, events
 * ntb-ack      telling them that windows into them are closed
 * ntb-window   memory windows
 * ntb-level    the levels that this port shows
 * ntb-poll     taking in what the others have changed
 * ntb-quiesce  closing the windows of others
 * ntb-watch    who comes, goes and dies
 * ntb-link     life cycle and link state of this port
 * ntb-server   the connection to ivshmem-server
 * ntb-life     from realize to unrealize, for frontends
 *
 * Everything runs under the BQL. Only the shared page is touched by others.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_PORT_H
#define HW_NTB_NTB_PORT_H

#include "qemu/queue.h"
#include "qemu/timer.h"
#include "qemu/notify.h"
#include "chardev/char-fe.h"
#include "qom/object.h"
#include "ntb-client.h"
#include "ntb-compat.h"
#include "ntb-shm.h"

#define NTB_PORTS           NTB_SHM_MAX_PORTS
#define NTB_MAX_WINDOWS     32          /* as many as a mask has bits */
#define NTB_MAX_WINDOW_BARS 4
#define NTB_MAX_PIECES      (2 * NTB_SHM_MAX_SEGS)
#define NTB_FOLDS           32

typedef struct NTBPort NTBPort;
typedef struct NTBPeerRam NTBPeerRam;

/* Another port, as last seen in the shared page; all values are bounded */
typedef struct NTBPeer {
    bool attached;
    bool linkup;
    bool admits;                /* it may be written to, its owner says */
    bool dead;                  /* the process of this incarnation is gone */
    uint32_t flags;
    uint32_t down_epoch;
    uint32_t ivshmem_id, server_pid;
    uint64_t incarnation;
    uint32_t check_ms;          /* next delay of the liveness test, 0: none */
    bool hidden;                /* up, but neither side can wake the other */
    NTBClient *client;          /* whom to wake; NULL: not known */

    bool table_valid;
    bool ram_warned;            /* about this incarnation's RAM file */
    NTBRamTable table;
    NTBPeerRam *ram;            /* NULL: not mapped */
} NTBPeer;

/* A BAR that is divided into windows of the same size */
typedef struct NTBWindowBar {
    NTBPort *s;
    unsigned num;
    uint64_t size;
    uint64_t aperture;          /* of each window */
    unsigned first, nwindows;
    MemoryRegion mr;            /* answers where no alias lies */
} NTBWindowBar;

/* A contiguous part of a window that leads to the peer's RAM */
typedef struct NTBPiece {
    uint64_t off;               /* in the window */
    uint64_t file_off, len;
    bool trapped;               /* copied access by access, not mapped */
} NTBPiece;

/* Where a window leads, if anywhere */
typedef struct NTBTranslation {
    unsigned part;
    uint64_t addr;
    uint64_t extent;            /* bytes; 0: nothing is translated */
} NTBTranslation;

typedef struct NTBWindow {
    NTBWindowBar *bar;
    unsigned entry;             /* in the BAR, from 0 */
    MemoryRegion alias[NTB_SHM_MAX_SEGS];
    unsigned naliases;
    NTBPiece piece[NTB_MAX_PIECES];
    unsigned npieces;
    NTBTranslation recorded;    /* the last that was written down */
    NTBPeerRam *ram;            /* holds a reference while pieces exist */
} NTBWindow;

/* Statistics, in the order of the shared page */
typedef struct NTBStats {
    uint64_t db_tx, db_rx, kicks, msi, msg_tx, msg_fail;
    uint64_t win_map, win_unmap, win_trap, quiesce_timeouts;
} NTBStats;

/* The entry that further events of a kind are folded into */
typedef struct NTBFold {
    uint32_t kind, peer, num, count;
    uint64_t a;
    uint64_t n;                 /* the entry's number in its lane */
    uint64_t deeds;             /* until this port has done more than so much */
} NTBFold;

typedef struct NTBRecorder {
    bool on;                    /* property */
    bool peers;                 /* what happens now is others' doing */
    bool linkup, admits;        /* as written down last */
    NTBShmRing *ring;           /* NULL: nothing is recorded */
    uint64_t written[NTB_SHM_LANES];
    NTBFold folds[NTB_FOLDS];
    unsigned next_fold;
} NTBRecorder;

/* Doorbells that go astray because somebody wants to see what comes of it */
typedef struct NTBFault {
    uint32_t lose;              /* so many of the next writes */
    uint32_t delay_ms;
    uint32_t late;              /* bits that are on their way */
    void (*deliver)(NTBPort *s, uint32_t bits);
    QEMUTimer *timer;
} NTBFault;

/* How far the server's side of a connection has come: what it sends next */
typedef enum NTBPhase {
    NTB_CONN_NONE,              /* not connected, or refused */
    NTB_CONN_VERSION,
    NTB_CONN_ID,
    NTB_CONN_SHM,
    NTB_CONN_CLIENTS,
} NTBPhase;

typedef struct NTBConn {
    NTBPhase phase;
    uint32_t pid;               /* the server's, 0: not known */
    int64_t id;                 /* of this client */
    int own_fd;                 /* vector 0 of this client */
    int shm_fd;                 /* until it is mapped */
    GHashTable *clients;        /* id -> NTBClient */
} NTBConn;

typedef struct NTBServer {
    NTBChardev chr;
    uint8_t buf[8];
    unsigned have;
    NTBConn conn;               /* works on when its server is lost */
    NTBConn next;               /* being made, while `lost` */
    int last_own_fd;            /* of the connection before this one */
    bool lost;
} NTBServer;

/* What reaches a port from others, besides levels and doorbells */
typedef enum NTBEvent {
    NTB_EVENT_LINK_UP,
    NTB_EVENT_LINK_DOWN,
    NTB_EVENT_SIGNAL,
} NTBEvent;

/* What a frontend answers for; each is called under the BQL */
typedef struct NTBPortOps {
    const char *name;           /* begins what is told of a port */

    /* Where @window leads, by what the guest has programmed */
    NTBTranslation (*translation)(NTBPort *s, unsigned window);
    /* Can this port send into the switch, once its link is up? */
    bool (*may_send)(NTBPort *s);
    /* May peers write into this guest's RAM, once its link is up? */
    bool (*admits)(NTBPort *s);

    /* Show the levels that peers' frontends take in, before LINKUP is shown */
    void (*show_levels)(NTBPort *s);
    /* Take in what the frontend of @part shows, as it is now */
    void (*take_levels)(NTBPort *s, unsigned part);
    /* @parts (a mask) tell something; never while in reset */
    void (*event)(NTBPort *s, NTBEvent event, uint32_t parts);
    /* Doorbells, messages or events may have come: whether to interrupt */
    void (*irq_changed)(NTBPort *s);
    /* Show everything else that is shown of this port */
    void (*publish)(NTBPort *s);
    /* The link goes down by a reset: as if the guest had disabled it */
    void (*reset)(NTBPort *s);
    /* The address space that the addresses given to peers are of */
    AddressSpace *(*dma)(NTBPort *s);
} NTBPortOps;

struct NTBPort {
    Object *owner;              /* the device, which keeps this in memory */
    const NTBPortOps *ops;

    /* properties */
    uint32_t part;              /* "number" */
    uint32_t nports;
    uint32_t quiesce_timeout_ms;
    char *mem_path;
    char *mem_path_of[NTB_PORTS];

    NTBWindowBar wbar[NTB_MAX_WINDOW_BARS];
    unsigned nbars;
    NTBWindow win[NTB_MAX_WINDOWS];
    unsigned nwindows;
    NTBSwitchConfig cfg;
    NTBServer server;
    NTBShm shm;
    NTBShmPort *own;            /* this port's block; NULL before realize */
    NTBPeer peer[NTB_PORTS];
    NTBStats stats;
    NTBRecorder recorder;
    NTBFault fault;
    VMChangeStateEntry *run_state;
    uint32_t db_seen, db_new;   /* inbound doorbells: seen, come since then */
    uint32_t msg_seen, msg_new; /* full message registers, likewise */
    Notifier machine_done;
    QEMUTimer *live_timer;
    QLIST_ENTRY(NTBPort) next;

    /* life cycle */
    bool ram_published;
    bool in_reset;
    bool unplugged;             /* the cable: no other port is reached */
    bool attached;
    bool linkup;
    bool admits;                /* peers may write into this guest's RAM */
    uint32_t flags;
    uint32_t down_epoch;
    unsigned flush_pending;     /* vCPUs that may still hold a closed window */
    unsigned warnings_left;
    bool quiesce_warned;
};

/* Count in private memory and show the result in the shared page */
#define NTB_COUNT(s, field) do {                                        \
        (s)->stats.field++;                                             \
        if ((s)->own) {                                                 \
            ntb_shm_set64(&(s)->own->field, (s)->stats.field);          \
        }                                                               \
    } while (0)

static inline bool ntb_is_peer(const NTBPort *s, unsigned part)
{
    return part < s->nports && part != s->part;
}

/* The number of a partition's port on the switch */
static inline unsigned ntb_number(const NTBPort *s, unsigned part)
{
    return s->cfg.number[part];
}

static inline NTBShmPort *ntb_block(const NTBPort *s, unsigned part)
{
    return ntb_shm_port(&s->shm, part);
}

static inline void ntb_tell(NTBPort *s, NTBEvent event, uint32_t parts)
{
    if (parts && !s->in_reset) {
        s->ops->event(s, event, parts);
    }
}

static inline void ntb_publish(NTBPort *s)
{
    if (s->own) {
        s->ops->publish(s);
    }
}

#endif /* HW_NTB_NTB_PORT_H */
