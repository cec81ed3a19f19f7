/*
 * NTB port: faults on purpose, for tests of drivers
 *
 * Off unless asked for. The recorder tells each of them.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-fault.h"
#include "ntb-record.h"

enum { LOST = 1, LATE = 2 };

void ntb_fault_add_properties(NTBPort *s, Object *device)
{
    object_property_add_uint32_ptr(device, "x-fault-lose-doorbells",
                                   &s->fault.lose, OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint32_ptr(device, "x-fault-delay-doorbells-ms",
                                   &s->fault.delay_ms,
                                   OBJ_PROP_FLAG_READWRITE);
}

/* Those that are late ring together, when the first of them is due */
static void due(void *opaque)
{
    NTBPort *s = opaque;
    uint32_t bits = s->fault.late;

    s->fault.late = 0;
    if (s->own && bits) {
        s->fault.deliver(s, bits);
    }
}

void ntb_fault_start(NTBPort *s, void (*deliver)(NTBPort *s, uint32_t bits))
{
    s->fault.deliver = deliver;
    s->fault.timer = timer_new_ms(QEMU_CLOCK_REALTIME, due, s);
}

void ntb_fault_stop(NTBPort *s)
{
    if (s->fault.timer) {
        timer_free(s->fault.timer);
        s->fault.timer = NULL;
    }
    s->fault.late = 0;
}

static void tell(NTBPort *s, uint32_t what, uint32_t bits, uint64_t ns)
{
    ntb_record(s, NTB_SHM_EV_FAULT, NTB_SHM_NOBODY, what, bits, ns);
}

bool ntb_fault_takes(NTBPort *s, uint32_t bits)
{
    NTBFault *f = &s->fault;

    if (f->lose) {
        f->lose--;
        tell(s, LOST, bits, 0);
        return true;
    }
    if (!f->delay_ms || !f->timer) {
        return false;
    }
    tell(s, LATE, bits, (uint64_t)f->delay_ms * SCALE_MS);
    f->late |= bits;
    if (!timer_pending(f->timer)) {
        timer_mod(f->timer,
                  qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + f->delay_ms);
    }
    return true;
}
