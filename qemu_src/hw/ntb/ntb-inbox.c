/*
 * NTB port: doorbells and messages that have come in
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-inbox.h"
#include "ntb-record.h"

static uint32_t source_of(uint64_t message)
{
    return (message >> NTB_SHM_INMSG_SRC_SHIFT) & 7;
}

/* The guest may take what has come before anybody has looked */
static void record_doorbells(NTBPort *s, uint32_t bits)
{
    if (bits) {
        ntb_record(s, NTB_SHM_EV_DB_IN, NTB_SHM_NOBODY, 0, bits, 0);
    }
}

static void record_message(NTBPort *s, uint32_t kind, unsigned m, uint64_t word)
{
    ntb_record(s, kind, source_of(word), m, (uint32_t)word, 0);
}

static void look_at_doorbells(NTBPort *s)
{
    uint32_t set = qatomic_read(&s->own->indbellsts);

    s->db_new = set & ~s->db_seen;
    s->db_seen = set;
    if (s->db_new) {
        NTB_COUNT(s, db_rx);
        record_doorbells(s, s->db_new);
    }
}

static void look_at_messages(NTBPort *s)
{
    uint32_t full = 0;

    for (unsigned m = 0; m < NTB_SHM_NUM_MSG; m++) {
        uint64_t word = ntb_shm_get64(&s->own->inmsg[m]);

        if (!(word & NTB_SHM_INMSG_FULL)) {
            continue;
        }
        full |= 1u << m;
        if (!(s->msg_seen >> m & 1)) {
            record_message(s, NTB_SHM_EV_MSG_IN, m, word);
        }
    }
    s->msg_new = full & ~s->msg_seen;
    s->msg_seen = full;
}

void ntb_inbox_look(NTBPort *s)
{
    look_at_doorbells(s);
    look_at_messages(s);
}

uint32_t ntb_inbox_clear_doorbells(NTBPort *s, uint32_t bits)
{
    uint32_t old = qatomic_fetch_and(&s->own->indbellsts, ~bits);
    uint32_t seen = s->db_seen;

    s->db_seen &= ~bits;
    record_doorbells(s, old & bits & ~seen);
    if (old & bits) {
        ntb_record(s, NTB_SHM_EV_DB_TAKEN, NTB_SHM_NOBODY, 0, old & bits,
                   old & ~bits);
    }
    return old;
}

void ntb_inbox_clear_message(NTBPort *s, unsigned m)
{
    uint64_t word = ntb_shm_get64(&s->own->inmsg[m]);

    ntb_shm_msg_done(s->own, m);
    if (word & NTB_SHM_INMSG_FULL) {
        if (!(s->msg_seen >> m & 1)) {
            record_message(s, NTB_SHM_EV_MSG_IN, m, word);
        }
        record_message(s, NTB_SHM_EV_MSG_TAKEN, m, word);
    }
    s->msg_seen &= ~(1u << m);
}

void ntb_inbox_forget(NTBPort *s)
{
    s->db_seen = s->db_new = 0;
    s->msg_seen = s->msg_new = 0;
}
