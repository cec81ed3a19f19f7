/*
 * NTB port: from realize to unrealize
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/runstate.h"
#include "system/system.h"
#include "ntb-fault.h"
#include "ntb-kick.h"
#include "ntb-level.h"
#include "ntb-life.h"
#include "ntb-link.h"
#include "ntb-ram.h"
#include "ntb-record.h"
#include "ntb-server.h"
#include "ntb-window.h"

#define MIN_NPORTS          2
#define MAX_WARNINGS        16

void ntb_life_init(NTBPort *s, Object *owner, const NTBPortOps *ops)
{
    s->owner = owner;
    s->ops = ops;
    s->in_reset = true;             /* until the machine resets us for use */
    s->warnings_left = MAX_WARNINGS;
    s->nbars = s->nwindows = 0;
    ntb_shm_init(&s->shm);
}

bool ntb_life_check(NTBPort *s, unsigned most, Error **errp)
{
    if (s->nports < MIN_NPORTS || s->nports > most) {
        error_setg(errp, "nports=%u is out of range: a switch has %d to %u "
                   "ports", s->nports, MIN_NPORTS, most);
        return false;
    }
    if (s->part >= s->nports) {
        error_setg(errp, "number=%u is out of range: with nports=%u it is 0 "
                   "to %u", s->part, s->nports, s->nports - 1);
        return false;
    }
    return ntb_ram_check_paths(s, errp);
}

bool ntb_life_join(NTBPort *s, Error **errp)
{
    int shm_fd;

    if (!ntb_server_connect(s, &shm_fd, errp) ||
        !ntb_shm_map(&s->shm, shm_fd, errp) ||
        !ntb_shm_claim(&s->shm, s->part, &s->cfg, errp)) {
        return false;
    }
    s->own = ntb_block(s, s->part);
    ntb_record_start(s);
    ntb_level_publish_client(s);
    return true;
}

static void machine_done(Notifier *notifier, void *data)
{
    NTBPort *s = container_of(notifier, NTBPort, machine_done);

    ntb_ram_publish(s);
    ntb_link_try_attach(s);
}

static uint32_t why_stopped(RunState state)
{
    switch (state) {
    case RUN_STATE_PAUSED:
        return NTB_SHM_STOP_PAUSED;
    case RUN_STATE_DEBUG:
        return NTB_SHM_STOP_DEBUGGER;
    case RUN_STATE_GUEST_PANICKED:
        return NTB_SHM_STOP_PANIC;
    case RUN_STATE_SHUTDOWN:
        return NTB_SHM_STOP_SHUTDOWN;
    case RUN_STATE_INTERNAL_ERROR:
    case RUN_STATE_IO_ERROR:
        return NTB_SHM_STOP_ERROR;
    default:
        return NTB_SHM_STOP_OTHER;
    }
}

/* The guest's clocks stand still while the machine does */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    ntb_record(opaque, NTB_SHM_EV_RUN, NTB_SHM_NOBODY, running,
               running ? 0 : why_stopped(state), 0);
}

void ntb_life_start(NTBPort *s)
{
    s->run_state = qemu_add_vm_change_state_handler(run_state_changed, s);
    ntb_fault_start(s, ntb_kick_deliver);
    ntb_link_init(s);
    ntb_link_reset_hold(s);
    ntb_publish(s);
    ntb_server_start(s);
    s->machine_done.notify = machine_done;
    qemu_add_machine_init_done_notifier(&s->machine_done);
}

/* Everything may be half done: a failed realize comes here as well */
void ntb_life_exit(NTBPort *s)
{
    if (s->machine_done.notify) {
        qemu_remove_machine_init_done_notifier(&s->machine_done);
        s->machine_done.notify = NULL;
    }
    if (s->run_state) {
        qemu_del_vm_change_state_handler(s->run_state);
        s->run_state = NULL;
    }
    ntb_fault_stop(s);
    ntb_link_exit(s);
    ntb_window_close_all(s);
    ntb_server_stop(s);
    ntb_record_stop(s);
    s->own = NULL;
    ntb_shm_release(&s->shm);
}
