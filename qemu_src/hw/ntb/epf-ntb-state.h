/*
 * EPF NTB port: what its modules share
 *
 * epf-ntb-defs   registers and their fields
 * epf-ntb-page   what the guest reads of page 0, without a trap
 * epf-ntb-irq    the link as the guest sees it, doorbells that come, MSI-X
 * epf-ntb-mw     translations, our own and the peer's
 * epf-ntb-cmd    commands, and when they are done
 * epf-ntb-regs   the table of registers of page 0, and what writes do
 * epf-ntb-spad   scratchpads
 * epf-ntb-db     doorbells that the guest rings
 * epf-ntb-port   what the core asks of them
 * epf-ntb-pci    PCI device: properties, life cycle, configuration space
 *
 * Each of these uses only those above it, and the core (ntb-port.h).
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_STATE_H
#define HW_NTB_EPF_NTB_STATE_H

#include "hw/ntb/epf_ntb_shm.h"
#include "hw/pci/pci_device.h"
#include "epf-ntb-defs.h"
#include "ntb-port.h"

#define TYPE_EPF_NTB "ntb-epf-ivshmem"
OBJECT_DECLARE_SIMPLE_TYPE(EPFNTBState, EPF_NTB)

typedef struct epf_ntb_shm_area EPFNTBShmArea;
typedef struct epf_ntb_shm_mw EPFNTBMw;

#define EPF_NTB_PORTS       2           /* Linux' transport knows one peer */
#define EPF_NTB_WINDOWS     2           /* BAR4 and BAR5 */
#define EPF_NTB_MIN_VECTORS 4           /* or the driver's probe fails */
#define EPF_NTB_MAX_VECTORS EPF_NTB_SHM_NUM_DB

/* What is counted, in the order of the shared page */
typedef struct EPFNTBCounters {
    uint64_t rung[EPF_NTB_SHM_NUM_DB];
    uint64_t raised[EPF_NTB_SHM_NUM_DB];
    uint64_t dropped_tx, dropped_rx, link_irqs, commands, refused, take_ins;
} EPFNTBCounters;

struct EPFNTBState {
    PCIDevice parent_obj;

    NTBPort port;

    /* properties */
    char *map;
    uint64_t mw_size[EPF_NTB_WINDOWS];
    uint32_t msix_vectors;
    uint32_t spads;

    MemoryRegion bar0, page, spad, doorbells;
    uint8_t *regs;              /* page 0 as the guest reads it */

    uint32_t command;           /* the last one */
    uint32_t vectors;           /* configured; 0: no interrupt at all */
    bool link_enabled;
    EPFNTBMw mw[EPF_NTB_SHM_NUM_MW];            /* the peer's way into here */
    EPFNTBMw peer_mw[EPF_NTB_SHM_NUM_MW];       /* our way into the peer */

    /* the command that waits for the peer */
    uint32_t pending;           /* 0: none */
    bool pending_refused;       /* what it will be told */
    QEMUTimer *pending_timer;

    /* interrupt state */
    bool link_up;               /* as the guest has been told */
    bool link_fell;             /* the peer went down since, if only shortly */
    bool irq_busy, irq_again;

    EPFNTBCounters counters;
    uint64_t counted_on;        /* the switch that they are of */
};

/* Count in private memory and show the result in the shared page */
#define EPF_NTB_COUNT(s, field) do {                                    \
        (s)->counters.field++;                                          \
        if ((s)->port.own) {                                            \
            ntb_shm_set64(&epf_ntb_area((s)->port.own)->field,          \
                          (s)->counters.field);                         \
        }                                                               \
    } while (0)

static inline EPFNTBState *epf_ntb_of(NTBPort *port)
{
    return container_of(port, EPFNTBState, port);
}

static inline EPFNTBShmArea *epf_ntb_area(NTBShmPort *block)
{
    return (EPFNTBShmArea *)block->device;
}

static inline unsigned epf_ntb_peer(const EPFNTBState *s)
{
    return 1 - s->port.part;
}

static inline uint32_t epf_ntb_pcicmd(const EPFNTBState *s)
{
    return pci_get_word(s->parent_obj.config + PCI_COMMAND);
}

#endif /* HW_NTB_EPF_NTB_STATE_H */
