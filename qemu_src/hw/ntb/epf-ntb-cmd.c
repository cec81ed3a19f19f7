/*
 * EPF NTB port: commands, and when they are done
 *
 * The driver polls CMD_STATUS for a second. So a command that the peer has to
 * follow (its windows open, close or move) is answered once it has, and the
 * guest's vCPU runs meanwhile. Opening needs that as much as closing: the guest
 * tells its peer next, and the peer's stores must not go to a closed window.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "epf-ntb-cmd.h"
#include "epf-ntb-irq.h"
#include "epf-ntb-mw.h"
#include "epf-ntb-page.h"
#include "ntb-link.h"
#include "ntb-quiesce.h"
#include "ntb-record.h"
#include "trace.h"

/* Half of what the driver waits before it warns */
#define TIMEOUT_MS      500

/* What a command leads to */
typedef struct Outcome {
    bool refused;
    bool peer_follows;          /* its windows into here have changed */
} Outcome;

typedef struct Command {
    const char *name;
    Outcome (*run)(EPFNTBState *s, uint32_t argument);
} Command;

static Outcome configure_doorbell(EPFNTBState *s, uint32_t argument)
{
    uint32_t count = FIELD_EX32(argument, EPF_ARGUMENT, COUNT);

    if (!count || count > s->msix_vectors ||
        !FIELD_EX32(argument, EPF_ARGUMENT, MSIX)) {
        return (Outcome) { .refused = true };
    }
    s->vectors = count;
    return (Outcome) { 0 };
}

static Outcome teardown_doorbell(EPFNTBState *s, uint32_t argument)
{
    s->vectors = 0;
    return (Outcome) { 0 };
}

static Outcome configure_mw(EPFNTBState *s, uint32_t window)
{
    uint64_t addr = epf_ntb_page_get64(s, A_EPF_LOWER_ADDR);
    uint64_t size = epf_ntb_page_get64(s, A_EPF_LOWER_SIZE);
    bool was_set, taken;

    if (window >= EPF_NTB_WINDOWS) {
        return (Outcome) { .refused = true };
    }
    was_set = epf_ntb_mw_is_set(s, window);
    taken = epf_ntb_mw_set(s, window, addr, size);
    return (Outcome) { .refused = !taken, .peer_follows = taken || was_set };
}

static Outcome teardown_mw(EPFNTBState *s, uint32_t window)
{
    bool was_set;

    if (window >= EPF_NTB_WINDOWS) {
        return (Outcome) { .refused = true };
    }
    was_set = epf_ntb_mw_is_set(s, window);
    epf_ntb_mw_clear(s, window);
    return (Outcome) { .peer_follows = was_set };
}

static Outcome enable_link(EPFNTBState *s, bool enable)
{
    bool change = s->link_enabled != enable;

    s->link_enabled = enable;
    return (Outcome) { .peer_follows = change };
}

static Outcome link_up(EPFNTBState *s, uint32_t argument)
{
    epf_ntb_irq_update(s);      /* what was rung until now is dropped */
    return enable_link(s, true);
}

static Outcome link_down(EPFNTBState *s, uint32_t argument)
{
    return enable_link(s, false);
}

static Outcome unknown(EPFNTBState *s, uint32_t argument)
{
    return (Outcome) { .refused = true };
}

static const Command no_command = { "?", unknown };

static const Command commands[] = {
    [EPF_CMD_CONFIGURE_DOORBELL] = { "CONFIGURE_DOORBELL", configure_doorbell },
    [EPF_CMD_TEARDOWN_DOORBELL] = { "TEARDOWN_DOORBELL", teardown_doorbell },
    [EPF_CMD_CONFIGURE_MW] = { "CONFIGURE_MW", configure_mw },
    [EPF_CMD_TEARDOWN_MW] = { "TEARDOWN_MW", teardown_mw },
    [EPF_CMD_LINK_UP] = { "LINK_UP", link_up },
    [EPF_CMD_LINK_DOWN] = { "LINK_DOWN", link_down },
};

static const Command *find(uint32_t command)
{
    return command < ARRAY_SIZE(commands) && commands[command].run ?
           &commands[command] : &no_command;
}

static void record(EPFNTBState *s, uint32_t addr, uint32_t now, uint32_t before)
{
    ntb_record(&s->port, NTB_SHM_EV_REGISTER, NTB_SHM_NOBODY, addr, now,
               before);
}

static void answer(EPFNTBState *s, uint32_t command, bool refused)
{
    uint32_t status = refused ? EPF_STATUS_ERROR : EPF_STATUS_OK;

    if (refused) {
        EPF_NTB_COUNT(s, refused);
        qemu_log_mask(LOG_GUEST_ERROR, "ntb-epf: command %u (%s) with argument "
                      "0x%x is refused\n", command, find(command)->name,
                      epf_ntb_page_get(s, A_EPF_ARGUMENT));
    }
    epf_ntb_page_put16(s, A_EPF_CMD_STATUS, status);
    record(s, A_EPF_CMD_STATUS, status, 0);
    trace_epf_ntb_cmd_done(s->port.part, find(command)->name, status);
}

static void done(EPFNTBState *s)
{
    uint32_t command = s->pending;

    s->pending = 0;
    timer_del(s->pending_timer);
    answer(s, command, s->pending_refused);
    ntb_publish(&s->port);
}

void epf_ntb_cmd_check(EPFNTBState *s)
{
    if (s->pending && !ntb_quiesce_waits_for(&s->port)) {
        done(s);
    }
}

/* The guest gets its answer all the same: an error would help nobody */
static void timed_out(void *opaque)
{
    EPFNTBState *s = opaque;
    uint32_t mask;

    if (!s->pending) {
        return;
    }
    mask = ntb_quiesce_waits_for(&s->port);
    if (mask) {
        ntb_quiesce_gave_up(&s->port, mask, TIMEOUT_MS);
    }
    done(s);
}

static void wait_for_peer(EPFNTBState *s, uint32_t command, bool refused)
{
    ntb_link_redirected(&s->port);
    epf_ntb_irq_own_link(s);
    s->pending = command;
    s->pending_refused = refused;
    timer_mod(s->pending_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + TIMEOUT_MS);
    epf_ntb_cmd_check(s);
}

void epf_ntb_cmd_run(EPFNTBState *s, uint32_t command)
{
    uint32_t argument = epf_ntb_page_get(s, A_EPF_ARGUMENT);
    Outcome outcome;

    trace_epf_ntb_cmd(s->port.part, find(command)->name, argument);
    EPF_NTB_COUNT(s, commands);
    record(s, A_EPF_ARGUMENT, argument, argument);
    record(s, A_EPF_COMMAND, command, s->command);
    if (s->pending) {
        answer(s, command, true);       /* the one that waits goes on */
        return;
    }
    s->command = command;
    epf_ntb_page_put16(s, A_EPF_CMD_STATUS, 0);
    outcome = find(command)->run(s, argument);
    if (outcome.peer_follows) {
        wait_for_peer(s, command, outcome.refused);
    } else {
        epf_ntb_mw_show(s);     /* a refusal, with its reason */
        answer(s, command, outcome.refused);
    }
}

void epf_ntb_cmd_forget(EPFNTBState *s)
{
    s->command = s->pending = 0;
    if (s->pending_timer) {
        timer_del(s->pending_timer);
    }
}

void epf_ntb_cmd_init(EPFNTBState *s)
{
    s->pending_timer = timer_new_ms(QEMU_CLOCK_REALTIME, timed_out, s);
}

void epf_ntb_cmd_exit(EPFNTBState *s)
{
    timer_free(s->pending_timer);
    s->pending_timer = NULL;
}
