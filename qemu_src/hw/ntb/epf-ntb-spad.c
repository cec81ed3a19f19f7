/*
 * EPF NTB port: scratchpads
 *
 * A port's words lie in its block of the shared page, where the peer writes
 * them. What the peer did before it wrote a word is in force when the guest
 * reads that word, even if the main loop has not run meanwhile.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "epf-ntb-spad.h"
#include "ntb-peer.h"
#include "ntb-poll.h"
#include "trace.h"

typedef struct Place {
    uint32_t *word;             /* NULL: none, or nobody is there */
    unsigned part, index;
} Place;

/* First the own ones, then those of the peer */
static Place find(EPFNTBState *s, hwaddr addr)
{
    unsigned n = addr / 4;
    bool own = n < s->spads;
    Place place = {
        .part = own ? s->port.part : epf_ntb_peer(s),
        .index = own ? n : n - s->spads,
    };

    if (s->port.own && place.index < s->spads &&
        (own || ntb_peer_lives_now(&s->port, place.part))) {
        place.word = &ntb_block(&s->port, place.part)->spad[place.index];
    }
    return place;
}

static bool whole_word(hwaddr addr, unsigned size, const char *what)
{
    if (size != 4 || addr & 3) {
        qemu_log_mask(LOG_GUEST_ERROR, "ntb-epf: scratchpad %s of %u bytes at "
                      "0x%" HWADDR_PRIx " is ignored\n", what, size, addr);
        return false;
    }
    return true;
}

/* The value first: what came before it has then been stored, too */
static void take_in(EPFNTBState *s)
{
    if (qatomic_read(&s->port.own->kick_pending)) {
        EPF_NTB_COUNT(s, take_ins);
        ntb_poll(&s->port);
    }
}

static uint64_t spad_read(void *opaque, hwaddr addr, unsigned size)
{
    EPFNTBState *s = opaque;
    Place place = find(s, addr);
    uint32_t val = 0;

    if (!whole_word(addr, size, "read")) {
        return 0;
    }
    if (place.word) {
        val = qatomic_load_acquire(place.word);
        take_in(s);
    }
    trace_epf_ntb_spad_read(s->port.part, place.part, place.index, val);
    return val;
}

static void spad_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    EPFNTBState *s = opaque;
    Place place = find(s, addr);

    if (!whole_word(addr, size, "write")) {
        return;
    }
    trace_epf_ntb_spad_write(s->port.part, place.part, place.index, val);
    if (place.word) {
        qatomic_store_release(place.word, (uint32_t)val);
    }
}

static const MemoryRegionOps spad_ops = {
    .read = spad_read,
    .write = spad_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
};

void epf_ntb_spad_init(EPFNTBState *s)
{
    memory_region_init_io(&s->spad, OBJECT(s), &spad_ops, s, "ntb-epf-spad",
                          EPF_NTB_PAGE_SIZE);
}

void epf_ntb_spad_reset(EPFNTBState *s)
{
    for (unsigned n = 0; s->port.own && n < NTB_SHM_NUM_SPAD; n++) {
        qatomic_set(&s->port.own->spad[n], 0);
    }
}
