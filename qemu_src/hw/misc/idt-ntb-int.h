/*
 * IDT NTB port: what its modules share
 *
 * idt-ntb-ivshmem.c  PCI device: properties, life cycle, configuration space
 * idt-ntb-regs.c     the NT function's registers
 * idt-ntb-gasa.c     the switch's global address space
 * idt-ntb-temp.c     the temperature sensor
 * idt-ntb-irq.c      interrupt status, masks, MSI and INTx
 * idt-ntb-link.c     life cycle and link state of this port
 * idt-ntb-event.c    events, doorbells, messages, kicks
 * idt-ntb-peer.c     the other ports as this one sees them
 * idt-ntb-quiesce.c  closing the windows of others
 * idt-ntb-mw.c       memory windows
 * idt-ntb-lut.c      their lookup tables
 * idt-ntb-ram.c      this guest's RAM table, the peers' RAM files
 * idt-ntb-server.c   the connection to ivshmem-server
 * idt-ntb-client.c   the clients of ivshmem-server and their eventfds
 * idt-ntb-shm.c      the shared page
 *
 * Everything runs under the BQL. Only the shared page is touched by others.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_IDT_NTB_INT_H
#define HW_MISC_IDT_NTB_INT_H

#include "qemu/queue.h"
#include "qemu/timer.h"
#include "qemu/notify.h"
#include "chardev/char-fe.h"
#include "hw/pci/pci_device.h"
#include "qom/object.h"
#include "idt-ntb-compat.h"
#include "idt-ntb-regs.h"
#include "idt-ntb-shm.h"

#define TYPE_IDT_NTB "idt-ntb-ivshmem"
OBJECT_DECLARE_SIMPLE_TYPE(IDTNTBState, IDT_NTB)

#define TYPE_IDT_NTB_PEER_RAM "idt-ntb-peer-ram"
OBJECT_DECLARE_SIMPLE_TYPE(IDTNTBPeerRam, IDT_NTB_PEER_RAM)

#define IDT_NTB_PORTS       NTB_SHM_MAX_PORTS
#define IDT_NTB_BARS        NTB_SHM_NUM_BARS
#define IDT_NTB_MSGS        NTB_SHM_NUM_MSG
#define IDT_NTB_WINDOW_BARS IDT_NTB_SHM_LUT_BARS        /* BAR2 and BAR4 */
#define IDT_NTB_MAX_WINDOWS 29          /* IDT_MAX_NR_MWS of the driver */
#define IDT_NTB_MAX_PIECES  (2 * NTB_SHM_MAX_SEGS)

/* A peer's RAM file, mapped; lives until the last view of it is gone */
struct IDTNTBPeerRam {
    Object parent_obj;
    MemoryRegion mr;
    uint64_t dev, ino, size;
};

/* A client of ivshmem-server; held by a connection and by the peer it is */
typedef struct IDTNTBClient {
    int fd;                     /* eventfd of vector 0 */
    bool gone;                  /* the server said so; its port may be alive */
} IDTNTBClient;

/* Another port, as last seen in the shared page; all values are bounded */
typedef struct IDTNTBPeer {
    bool attached;
    bool linkup;
    bool admits;                /* it may be written to, its owner says */
    bool dead;                  /* the process of this incarnation is gone */
    uint32_t pcicmd, ntctl, mtbl, pcielctlsts;
    uint32_t flags;
    uint32_t down_epoch;
    uint32_t ivshmem_id, server_pid;
    uint64_t incarnation;
    uint32_t check_ms;          /* next delay of the liveness test, 0: none */
    bool hidden;                /* up, but neither side can wake the other */
    IDTNTBClient *client;       /* whom to wake; NULL: not known */

    bool table_valid;
    bool ram_warned;            /* about this incarnation's RAM file */
    IDTNTBRamTable table;
    IDTNTBPeerRam *ram;         /* NULL: not mapped */
} IDTNTBPeer;

/* A BAR that holds windows: one, or one for each entry of a lookup table */
typedef struct IDTNTBWindowBar {
    IDTNTBState *s;
    unsigned num;               /* of its (64-bit) BAR */
    uint64_t size;              /* 0: there is no such BAR */
    uint64_t aperture;          /* of each window */
    unsigned lut_entries;       /* 0: direct */
    unsigned first, nwindows;
    MemoryRegion mr;            /* answers where no alias lies */
} IDTNTBWindowBar;

/* A contiguous part of a window that leads to the peer's RAM */
typedef struct IDTNTBPiece {
    uint64_t off;               /* in the window */
    uint64_t file_off, len;
    bool trapped;               /* copied access by access, not mapped */
} IDTNTBPiece;

typedef struct IDTNTBWindow {
    IDTNTBWindowBar *bar;
    unsigned entry;
    uint64_t programmed;        /* the higher, the later; 0: never */
    MemoryRegion alias[NTB_SHM_MAX_SEGS];
    unsigned naliases;
    IDTNTBPiece piece[IDT_NTB_MAX_PIECES];
    unsigned npieces;
    IDTNTBPeerRam *ram;         /* holds a reference while pieces exist */
} IDTNTBWindow;

/* The words of a lookup-table entry that wait for the one that commits them */
typedef struct IDTNTBLutStage {
    uint32_t low, high;
} IDTNTBLutStage;

/* BARSETUPn and its three companions */
typedef struct IDTNTBBarRegs {
    uint32_t setup, limit, ltbase, utbase;
} IDTNTBBarRegs;

/* The temperature sensor; temperatures in half degrees Celsius */
typedef struct IDTNTBTemp {
    int32_t mdeg;               /* what it is exposed to, milli-degrees */
    uint32_t ctl, slope, alarms;
    uint8_t adj;                /* signed */
    uint8_t now, lowest, highest;
} IDTNTBTemp;

/* Statistics, in the order of the shared page */
typedef struct IDTNTBStats {
    uint64_t db_tx, db_rx, kicks, msi, msg_tx, msg_fail;
    uint64_t win_map, win_unmap, win_trap, quiesce_timeouts;
} IDTNTBStats;

/* How far the server's side of a connection has come: what it sends next */
typedef enum IDTNTBPhase {
    IDT_NTB_CONN_NONE,          /* not connected, or refused */
    IDT_NTB_CONN_VERSION,
    IDT_NTB_CONN_ID,
    IDT_NTB_CONN_SHM,
    IDT_NTB_CONN_CLIENTS,
} IDTNTBPhase;

typedef struct IDTNTBConn {
    IDTNTBPhase phase;
    uint32_t pid;               /* the server's, 0: not known */
    int64_t id;                 /* of this client */
    int own_fd;                 /* vector 0 of this client */
    int shm_fd;                 /* until it is mapped */
    GHashTable *clients;        /* id -> IDTNTBClient */
} IDTNTBConn;

typedef struct IDTNTBServer {
    IDTNTBChardev chr;
    uint8_t buf[8];
    unsigned have;
    IDTNTBConn conn;            /* works on when its server is lost */
    IDTNTBConn next;            /* being made, while `lost` */
    int last_own_fd;            /* of the connection before this one */
    bool lost;
} IDTNTBServer;

struct IDTNTBState {
    PCIDevice parent_obj;

    /* properties */
    uint32_t part;              /* "number" */
    uint32_t nports;
    uint32_t vectors;
    uint32_t quiesce_timeout_ms;
    char *mem_path;
    char *mem_path_of[IDT_NTB_PORTS];
    char *bar_mode[IDT_NTB_WINDOW_BARS];
    uint64_t bar_size[IDT_NTB_WINDOW_BARS];
    bool db_loopback;
    bool mirror_mw;

    MemoryRegion bar0;
    IDTNTBWindowBar wbar[IDT_NTB_WINDOW_BARS];
    IDTNTBWindow win[IDT_NTB_MAX_WINDOWS];
    unsigned nwindows;
    uint64_t mw_stamp;
    IDTNTBSwitchConfig cfg;
    IDTNTBServer server;
    IDTNTBShm shm;
    IDTNTBShmPort *own;         /* this port's block; NULL before realize */
    IDTNTBPeer peer[IDT_NTB_PORTS];
    IDTNTBStats stats;
    Notifier machine_done;
    QEMUTimer *live_timer;
    QLIST_ENTRY(IDTNTBState) next;

    /* life cycle */
    bool ram_published;
    bool in_reset;
    bool attached;
    bool linkup;
    bool admits;                /* peers may write into this guest's RAM */
    uint32_t flags;
    uint32_t down_epoch;
    unsigned flush_pending;     /* vCPUs that may still hold a closed window */
    unsigned warnings_left;
    bool quiesce_warned;

    /* interrupt state */
    uint32_t irq_seen;          /* NTINTSTS bits already signalled */
    bool irq_msi;               /* they were signalled by MSI */
    bool irq_busy, irq_again;

    /* registers */
    uint32_t ntctl;
    uint32_t ntintsts;          /* the sticky bits only */
    uint32_t ntintmsk;
    uint32_t ntsdata;
    uint32_t ntierrormsk[2];
    uint32_t indbellmsk;
    uint32_t db_seen;           /* inbound doorbell bits already counted */
    uint32_t outmsg[IDT_NTB_MSGS];
    uint32_t outmsgsts;
    uint32_t msgstsmsk;
    IDTNTBBarRegs bar[IDT_NTB_BARS];
    uint32_t ntmtbladdr, ntmtblsts, mtbl;
    uint32_t lutoffset;
    IDTNTBShmLut lut[IDT_NTB_WINDOW_BARS][IDT_NTB_SHM_LUT_ENTRIES];
    IDTNTBLutStage lut_stage[IDT_NTB_WINDOW_BARS][IDT_NTB_SHM_LUT_ENTRIES];
    uint32_t gasaaddr;
    uint32_t swpmsgctl[IDT_NTB_MSGS];
    uint32_t semsk, sepmsk;
    uint32_t selinkupsts, selinkupmsk;
    uint32_t selinkdnsts, selinkdnmsk;
    uint32_t segsigsts, segsigmsk;
    uint32_t sefrstmsk, sehrstmsk, sefovrmsk;   /* of events that never come */
    IDTNTBTemp temp;
};

/* Count in private memory and show the result in the shared page */
#define IDT_NTB_COUNT(s, field) do {                                    \
        (s)->stats.field++;                                             \
        if ((s)->own) {                                                 \
            idt_ntb_shm_set64(&(s)->own->field, (s)->stats.field);      \
        }                                                               \
    } while (0)

/* Host-side trouble, a bounded number of times for each device */
void idt_ntb_warn(IDTNTBState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Switch port number of a partition: the 89HPES24NT6AG2 has these six */
unsigned idt_ntb_port_of(unsigned part);

static inline bool idt_ntb_is_peer(const IDTNTBState *s, unsigned part)
{
    return part < s->nports && part != s->part;
}

/* May a port in this state take part in transfers, as its driver reports it? */
static inline bool idt_ntb_state_admits(bool linkup, uint32_t pcicmd,
                                        uint32_t ntctl, uint32_t mtbl)
{
    return linkup && (pcicmd & PCI_COMMAND_MASTER) && (ntctl & NTCTL_CPEN) &&
           (mtbl & NTMTBLDATA_VALID);
}

uint32_t idt_ntb_pcicmd(const IDTNTBState *s);

/* idt-ntb-regs.c: @off is 0..0xfff and a multiple of four */
uint32_t idt_ntb_reg_read(IDTNTBState *s, unsigned off, uint16_t requester_id);
void idt_ntb_reg_write(IDTNTBState *s, unsigned off, uint32_t val);
const char *idt_ntb_reg_name(unsigned off);
void idt_ntb_regs_reset(IDTNTBState *s);
/* Show registers and mirrors in the shared page; call after every change */
void idt_ntb_regs_publish(IDTNTBState *s);

/* idt-ntb-gasa.c */
uint32_t idt_ntb_gasa_read(IDTNTBState *s, uint32_t addr);
void idt_ntb_gasa_write(IDTNTBState *s, uint32_t addr, uint32_t val);

/* idt-ntb-temp.c: @addr is one of the sensor's registers */
uint32_t idt_ntb_temp_read(IDTNTBState *s, uint32_t addr);
void idt_ntb_temp_write(IDTNTBState *s, uint32_t addr, uint32_t val);
void idt_ntb_temp_reset(IDTNTBState *s);
void idt_ntb_temp_init(IDTNTBState *s);
void idt_ntb_temp_class_init(ObjectClass *klass);

/* idt-ntb-irq.c */
uint32_t idt_ntb_msgsts(const IDTNTBState *s);
uint32_t idt_ntb_irq_status(const IDTNTBState *s);
void idt_ntb_irq_update(IDTNTBState *s);
/* The guest cleared the last cause of these NTINTSTS bits */
void idt_ntb_irq_fell(IDTNTBState *s, uint32_t bits);
void idt_ntb_irq_reset(IDTNTBState *s);

/* idt-ntb-link.c */
void idt_ntb_link_init(IDTNTBState *s);
void idt_ntb_link_exit(IDTNTBState *s);
void idt_ntb_link_try_attach(IDTNTBState *s);
/* A new server has the page that we are on */
void idt_ntb_link_rejoined(IDTNTBState *s);
/* A new server has another page: go there. Takes @shm_fd. */
bool idt_ntb_link_change_switch(IDTNTBState *s, int shm_fd);
void idt_ntb_link_reset_enter(IDTNTBState *s);
void idt_ntb_link_reset_hold(IDTNTBState *s);
void idt_ntb_link_reset_exit(IDTNTBState *s);
/* After a change of PCI command, NTCTL or the own mapping-table entry */
void idt_ntb_link_changed(IDTNTBState *s);
void idt_ntb_link_publish(IDTNTBState *s);
void idt_ntb_link_publish_client(IDTNTBState *s);
/* Take in whatever the other ports have changed */
void idt_ntb_link_poll(IDTNTBState *s);

/* idt-ntb-event.c */
void idt_ntb_event_kick_all(IDTNTBState *s);
/* Wake all ports, also those that seem to be about to wake */
void idt_ntb_event_ring_all(IDTNTBState *s);
void idt_ntb_event_drain(IDTNTBState *s);
void idt_ntb_event_post_link(IDTNTBState *s, bool up);
void idt_ntb_event_peer_appeared(IDTNTBState *s, unsigned part);
void idt_ntb_event_peer_died(IDTNTBState *s, unsigned part);
void idt_ntb_event_gsignal(IDTNTBState *s);
void idt_ntb_event_doorbell(IDTNTBState *s, uint32_t bits);
bool idt_ntb_event_message(IDTNTBState *s, unsigned part, unsigned reg,
                           uint32_t data);
void idt_ntb_event_count_doorbells(IDTNTBState *s);

/* idt-ntb-peer.c */
static inline IDTNTBShmPort *idt_ntb_peer_block(const IDTNTBState *s,
                                                unsigned part)
{
    return idt_ntb_shm_port(&s->shm, part);
}

bool idt_ntb_peer_admits(const IDTNTBState *s, unsigned part);
bool idt_ntb_peer_attached_now(const IDTNTBState *s, unsigned part);
uint32_t idt_ntb_peer_doorbells(const IDTNTBState *s, unsigned part);
/* The eventfd that wakes @part, as things are now, or -1 */
int idt_ntb_peer_eventfd(const IDTNTBState *s, unsigned part);
/* Is @part on the page, but out of our reach? */
bool idt_ntb_peer_hidden_now(const IDTNTBState *s, unsigned part);
void idt_ntb_peer_refresh(IDTNTBState *s, unsigned part);
void idt_ntb_peer_forget_all(IDTNTBState *s);
void idt_ntb_peer_live_timer(void *opaque);
void idt_ntb_peer_client_joined(IDTNTBState *s, int fd);
void idt_ntb_peer_client_gone(IDTNTBState *s, IDTNTBClient *client);
void idt_ntb_peer_server_lost(IDTNTBState *s);

/* idt-ntb-quiesce.c */
void idt_ntb_quiesce_join(IDTNTBState *s);
void idt_ntb_quiesce_leave(IDTNTBState *s);
void idt_ntb_quiesce(IDTNTBState *s);
void idt_ntb_quiesce_ack(IDTNTBState *s);
void idt_ntb_quiesce_flush_vcpus(IDTNTBState *s);

/* idt-ntb-mw.c */
bool idt_ntb_mw_setup(IDTNTBState *s, Error **errp);
void idt_ntb_mw_register(IDTNTBState *s);
void idt_ntb_mw_update(IDTNTBState *s);
void idt_ntb_mw_close_all(IDTNTBState *s);
/* After a write to a lookup-table entry, or to a BAR's four registers */
void idt_ntb_mw_programmed(IDTNTBState *s, const IDTNTBShmLut *entry);
void idt_ntb_mw_bar_programmed(IDTNTBState *s, unsigned num);
uint32_t idt_ntb_mw_open_mask(const IDTNTBState *s);
uint32_t idt_ntb_mw_trapped_mask(const IDTNTBState *s);

/* idt-ntb-lut.c */
uint32_t idt_ntb_lut_read(IDTNTBState *s, unsigned off);
void idt_ntb_lut_write(IDTNTBState *s, unsigned off, uint32_t val);
void idt_ntb_lut_reset(IDTNTBState *s);
void idt_ntb_lut_publish(IDTNTBState *s);

/* idt-ntb-ram.c */
bool idt_ntb_ram_check_paths(IDTNTBState *s, Error **errp);
void idt_ntb_ram_publish(IDTNTBState *s);
void idt_ntb_ram_update_iommu(IDTNTBState *s);
void idt_ntb_ram_new_incarnation(IDTNTBState *s, unsigned part);
void idt_ntb_ram_refresh(IDTNTBState *s, unsigned part);
void idt_ntb_ram_drop(IDTNTBState *s, unsigned part);
/* Does the file still reach up to @end? */
bool idt_ntb_ram_holds(IDTNTBPeerRam *ram, uint64_t end);

/* idt-ntb-server.c */
bool idt_ntb_server_connect(IDTNTBState *s, int *shm_fd, Error **errp);
void idt_ntb_server_start(IDTNTBState *s);
void idt_ntb_server_stop(IDTNTBState *s);
/* Wake all clients, ports or not, attached or not */
void idt_ntb_server_ring_all(IDTNTBState *s);

/* idt-ntb-client.c */
GHashTable *idt_ntb_client_table(void);
bool idt_ntb_client_add(GHashTable *clients, uint32_t id, int fd);
IDTNTBClient *idt_ntb_client_find(GHashTable *clients, uint32_t id);
void idt_ntb_client_forget(GHashTable *clients, IDTNTBClient *client);
IDTNTBClient *idt_ntb_client_ref(IDTNTBClient *client);
void idt_ntb_client_unref(IDTNTBClient *client);
void idt_ntb_client_set_nonblocking(int fd);
bool idt_ntb_client_is_eventfd(int fd);
/* Wake the reader of @fd; never blocks */
bool idt_ntb_client_ring(int fd);

#endif /* HW_MISC_IDT_NTB_INT_H */
