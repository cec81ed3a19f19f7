/*
 * NTB port: the page that the ports of one switch share
 *
 * Knows the page and nothing of ports or registers. The layout itself is in
 * include/hw/ntb/.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_SHM_IMPL_H
#define HW_NTB_NTB_SHM_IMPL_H

#include "qemu/atomic.h"
#include "hw/ntb/ntb_shm.h"

typedef struct ntb_shm_header NTBShmHeader;
typedef struct ntb_shm_port NTBShmPort;
typedef struct ntb_shm_seg NTBShmSeg;
typedef struct ntb_shm_ring NTBShmRing;
typedef struct ntb_shm_event NTBShmEvent;

/* What all ports of a switch have in common; compared when a port joins */
typedef struct NTBSwitchConfig {
    uint32_t model;
    uint32_t nports;
    uint8_t number[NTB_SHM_MAX_PORTS];  /* of each partition's port */
    uint32_t cfg_flags;
    uint32_t barsetup[NTB_SHM_NUM_BARS];
    /* the properties that make these, as errors call them */
    const char *flags_from, *bars_from;
} NTBSwitchConfig;

typedef struct NTBShm {
    void *base;         /* NULL: not mapped */
    size_t size;        /* of what is mapped: with event rings, or without */
    int lock_fd;        /* own open file description, holds the byte locks */
    int claimed;        /* partition whose lock is held, or -1 */
    uint64_t nonce;     /* the switch's, as it was when the port was claimed */
    uint64_t dev, ino;  /* of the file */
} NTBShm;

/* Where a guest's RAM lies in its RAM file */
typedef struct NTBRamTable {
    uint64_t dev, ino, size;
    uint32_t nseg;
    NTBShmSeg seg[NTB_SHM_MAX_SEGS];
} NTBRamTable;

void ntb_shm_init(NTBShm *shm);

/* Map the file that ivshmem-server sent. Takes ownership of @fd. */
bool ntb_shm_map(NTBShm *shm, int fd, Error **errp);

/* Is @fd the file that is mapped? */
bool ntb_shm_is_same(const NTBShm *shm, int fd);

/* Become the owner of @part; sets the page up if nobody else uses it */
bool ntb_shm_claim(NTBShm *shm, unsigned part, const NTBSwitchConfig *cfg,
                   Error **errp);

/* Give the port up and unmap; harmless at any stage */
void ntb_shm_release(NTBShm *shm);

/* Does a living process hold the claim on @part? */
bool ntb_shm_owner_alive(const NTBShm *shm, unsigned part);

static inline NTBShmPort *ntb_shm_port(const NTBShm *shm, unsigned part)
{
    return shm->base + NTB_SHM_PORT_OFF + part * NTB_SHM_PORT_STRIDE;
}

/*
 * The page is mapped at page alignment and all 64-bit fields are naturally
 * aligned, so the unchecked accessors are right on 32-bit hosts as well.
 */
static inline uint64_t ntb_shm_get64(const uint64_t *p)
{
    return qatomic_read__nocheck(p);
}

static inline void ntb_shm_set64(uint64_t *p, uint64_t v)
{
    qatomic_set__nocheck(p, v);
}

/* The event ring of @part; NULL: the page has none */
NTBShmRing *ntb_shm_ring(const NTBShm *shm, unsigned part);

/* Store what tools are shown; a word that has it already stays untouched */
static inline void ntb_shm_show(uint32_t *p, uint32_t v)
{
    if (qatomic_read(p) != v) {
        qatomic_set(p, v);
    }
}

/* Put a message into register @m of @to; false if the register is full */
bool ntb_shm_msg_send(NTBShmPort *to, unsigned m, uint32_t data,
                          unsigned src_part);

/* Mark message register @m of @own as read; its data stay */
void ntb_shm_msg_done(NTBShmPort *own, unsigned m);

void ntb_shm_ram_publish(NTBShmPort *own, const NTBRamTable *table);

/* A whole, checked copy of a peer's table; false if there is none */
bool ntb_shm_ram_read(const NTBShmPort *peer, NTBRamTable *table);

#endif /* HW_NTB_NTB_SHM_IMPL_H */
