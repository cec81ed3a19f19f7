/*
 * IDT NTB port: the page that the ports of one switch share
 *
 * Knows the page and nothing of PCI or registers. The layout itself is in
 * include/hw/ntb/.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_IDT_NTB_SHM_IMPL_H
#define HW_MISC_IDT_NTB_SHM_IMPL_H

#include "qemu/atomic.h"
#include "hw/ntb/ntb_shm.h"
#include "hw/ntb/idt_ntb_shm.h"

typedef struct ntb_shm_header IDTNTBShmHeader;
typedef struct idt_ntb_shm_area IDTNTBShmArea;
typedef struct ntb_shm_port IDTNTBShmPort;
typedef struct idt_ntb_shm_lut IDTNTBShmLut;
typedef struct ntb_shm_seg IDTNTBShmSeg;

/* What all ports of a switch have in common; compared when a port joins */
typedef struct IDTNTBSwitchConfig {
    uint32_t nports;
    uint32_t port_bitmap;
    uint32_t cfg_flags;
    uint32_t barsetup[NTB_SHM_NUM_BARS];
} IDTNTBSwitchConfig;

typedef struct IDTNTBShm {
    void *base;         /* NULL: not mapped */
    int lock_fd;        /* own open file description, holds the byte locks */
    int claimed;        /* partition whose lock is held, or -1 */
    uint64_t nonce;     /* the switch's, as it was when the port was claimed */
    uint64_t dev, ino;  /* of the file */
} IDTNTBShm;

/* Where a guest's RAM lies in its RAM file */
typedef struct IDTNTBRamTable {
    uint64_t dev, ino, size;
    uint32_t nseg;
    IDTNTBShmSeg seg[NTB_SHM_MAX_SEGS];
} IDTNTBRamTable;

void idt_ntb_shm_init(IDTNTBShm *shm);

/* Map the file that ivshmem-server sent. Takes ownership of @fd. */
bool idt_ntb_shm_map(IDTNTBShm *shm, int fd, Error **errp);

/* Is @fd the file that is mapped? */
bool idt_ntb_shm_is_same(const IDTNTBShm *shm, int fd);

/* Become the owner of @part; sets the page up if nobody else uses it */
bool idt_ntb_shm_claim(IDTNTBShm *shm, unsigned part, unsigned port,
                       const IDTNTBSwitchConfig *cfg, Error **errp);

/* Give the port up and unmap; harmless at any stage */
void idt_ntb_shm_release(IDTNTBShm *shm);

/* Does a living process hold the claim on @part? */
bool idt_ntb_shm_owner_alive(const IDTNTBShm *shm, unsigned part);

static inline IDTNTBShmPort *idt_ntb_shm_port(const IDTNTBShm *shm,
                                              unsigned part)
{
    return shm->base + NTB_SHM_PORT_OFF + part * NTB_SHM_PORT_STRIDE;
}

/* The part of a block that only ports of this model have */
static inline IDTNTBShmArea *idt_ntb_shm_area(IDTNTBShmPort *port)
{
    return (IDTNTBShmArea *)port->device;
}

/*
 * The page is mapped at page alignment and all 64-bit fields are naturally
 * aligned, so the unchecked accessors are right on 32-bit hosts as well.
 */
static inline uint64_t idt_ntb_shm_get64(const uint64_t *p)
{
    return qatomic_read__nocheck(p);
}

static inline void idt_ntb_shm_set64(uint64_t *p, uint64_t v)
{
    qatomic_set__nocheck(p, v);
}

/* Put a message into register @m of @to; false if the register is full */
bool idt_ntb_shm_msg_send(IDTNTBShmPort *to, unsigned m, uint32_t data,
                          unsigned src_part);

/* Mark message register @m of @own as read; its data stay */
void idt_ntb_shm_msg_done(IDTNTBShmPort *own, unsigned m);

void idt_ntb_shm_ram_publish(IDTNTBShmPort *own, const IDTNTBRamTable *table);

/* A whole, checked copy of a peer's table; false if there is none */
bool idt_ntb_shm_ram_read(const IDTNTBShmPort *peer, IDTNTBRamTable *table);

#endif /* HW_MISC_IDT_NTB_SHM_IMPL_H */
