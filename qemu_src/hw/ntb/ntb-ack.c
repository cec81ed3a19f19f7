/*
 * NTB port: telling the others that windows into them are closed
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "ntb-ack.h"
#include "ntb-kick.h"

/* Tell every port up to which epoch our windows into it are closed */
void ntb_ack(NTBPort *s)
{
    if (s->flush_pending) {
        return;
    }
    for (unsigned part = 0; part < s->nports; part++) {
        NTBPeer *peer = &s->peer[part];
        NTBShmPort *block = ntb_block(s, part);

        if (part == s->part || !peer->attached ||
            ntb_shm_get64(&block->incarnation) != peer->incarnation) {
            continue;
        }
        if (qatomic_read(&block->ack[s->part]) != peer->down_epoch) {
            qatomic_store_release(&block->ack[s->part], peer->down_epoch);
            ntb_kick(s, part);  /* it may wait without looking */
        }
    }
}

static void vcpu_flushed(CPUState *cpu, run_on_cpu_data data)
{
    NTBPort *s = data.host_ptr;

    s->flush_pending--;
    if (s->own) {
        ntb_ack(s);
    }
    object_unref(s->owner);
}

/*
 * Under TCG a change of the memory map reaches a vCPU only when it runs its
 * queued TLB flush. Our work is queued behind that flush. The vCPU whose access
 * we are in is left out: it runs its queue before the next block, and waiting
 * for it here would be waiting for ourselves.
 */
void ntb_ack_flush_vcpus(NTBPort *s)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu == current_cpu || !cpu->created) {
            continue;
        }
        s->flush_pending++;
        object_ref(s->owner);
        async_run_on_cpu(cpu, vcpu_flushed, RUN_ON_CPU_HOST_PTR(s));
    }
}
