/*
 * EPF NTB port: doorbells that the guest rings
 *
 * A word for each of the peer's MSI-X vectors; what is written counts for
 * nothing. There is no status and no mask: MSI-X has them.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "epf-ntb-db.h"
#include "ntb-kick.h"
#include "trace.h"

static void ring(EPFNTBState *s, unsigned vector)
{
    bool sent = s->link_up && vector >= EPF_VECTOR_FIRST_DB;

    trace_epf_ntb_db(s->port.part, vector, sent);
    if (!sent) {
        EPF_NTB_COUNT(s, dropped_tx);
        return;
    }
    EPF_NTB_COUNT(s, rung[vector]);
    ntb_kick_doorbell(&s->port, 1u << vector);
}

static void doorbell_write(void *opaque, hwaddr addr, uint64_t val,
                           unsigned size)
{
    EPFNTBState *s = opaque;

    if (size != 4 || addr & 3 || addr / 4 >= EPF_NTB_SHM_NUM_DB) {
        qemu_log_mask(LOG_GUEST_ERROR, "ntb-epf: doorbell write of %u bytes at "
                      "0x%" HWADDR_PRIx " is ignored\n", size, addr);
        return;
    }
    if (s->port.own) {
        ring(s, addr / 4);
    }
}

static uint64_t doorbell_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static const MemoryRegionOps doorbell_ops = {
    .read = doorbell_read,
    .write = doorbell_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
};

void epf_ntb_db_init(EPFNTBState *s)
{
    memory_region_init_io(&s->doorbells, OBJECT(s), &doorbell_ops, s,
                          "ntb-epf-doorbells", EPF_NTB_PAGE_SIZE);
}
