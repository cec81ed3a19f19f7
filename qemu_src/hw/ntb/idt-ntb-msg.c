/*
 * IDT NTB port: doorbells, messages, switch events
 *
 * 89HPES24NT6AG2 OUTDBELLSET, INDBELLSTS, OUTMSG, INMSG, MSGSTS, NTGSIGNAL and
 * the event registers of the switch, of which each port has its own here: the
 * driver on every port clears and masks them as if they were its own.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "idt-ntb-irq.h"
#include "idt-ntb-msg.h"
#include "ntb-inbox.h"
#include "ntb-kick.h"
#include "trace.h"

/*
 * Doorbells
 */

void idt_ntb_outdbellset_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    trace_idt_ntb_db_set(s->port.part, val);
    ntb_kick_doorbell(&s->port, val);
    if (s->db_loopback) {
        qatomic_fetch_or(&s->port.own->indbellsts, val);
    }
}

uint32_t idt_ntb_indbellsts_read(IDTNTBState *s, uint32_t addr)
{
    return qatomic_read(&s->port.own->indbellsts);
}

void idt_ntb_indbellsts_write(IDTNTBState *s, uint32_t addr, uint32_t bits)
{
    uint32_t old = ntb_inbox_clear_doorbells(&s->port, bits);

    if (!(old & ~bits & ~s->indbellmsk)) {
        /* A bit that a peer sets from now on is a new edge */
        idt_ntb_irq_fell(s, R_NTINTSTS_DBELL_MASK);
    }
}

/*
 * Messages
 */

void idt_ntb_outmsg_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    unsigned m = (addr - A_OUTMSG0) / 4;
    uint32_t route = s->swpmsgctl[m];

    /* Clients look at the status right after the write */
    if (!ntb_kick_message(&s->port, FIELD_EX32(route, SWP0MSGCTL0, PART),
                          FIELD_EX32(route, SWP0MSGCTL0, REG), val)) {
        s->outmsgsts |= 1u << m;
    }
}

uint32_t idt_ntb_inmsg_read(IDTNTBState *s, uint32_t addr)
{
    return ntb_shm_get64(&s->port.own->inmsg[(addr - A_INMSG0) / 4]);
}

/*
 * The driver uses INMSGSRC unchecked as an index into eight entries and takes
 * the result as a configured port, so nothing else may ever be read here.
 */
uint32_t idt_ntb_inmsgsrc_read(IDTNTBState *s, uint32_t addr)
{
    const uint64_t *inmsg = &s->port.own->inmsg[(addr - A_INMSGSRC0) / 4];
    unsigned src = (ntb_shm_get64(inmsg) >> NTB_SHM_INMSG_SRC_SHIFT) & 7;
    unsigned lowest = s->port.part == 0 ? 1 : 0;

    return ntb_is_peer(&s->port, src) ? src : lowest;
}

uint32_t idt_ntb_msgsts_read(IDTNTBState *s, uint32_t addr)
{
    return idt_ntb_msgsts(s);
}

void idt_ntb_msgsts_write(IDTNTBState *s, uint32_t addr, uint32_t bits)
{
    uint32_t left = idt_ntb_msgsts(s) & ~bits;

    for (unsigned m = 0; m < IDT_NTB_MSGS; m++) {
        if (bits & (1u << (R_MSGSTS_IN_SHIFT + m))) {
            ntb_inbox_clear_message(&s->port, m);
        }
    }
    if (!(left & ~s->msgstsmsk)) {
        /* A message that comes from now on is a new edge */
        idt_ntb_irq_fell(s, R_NTINTSTS_MSG_MASK);
    }
}

/*
 * Events
 */

/*
 * An event reached this port: latch it, and raise SEVENT unless masked. SEVENT
 * is latched now because the driver clears SEGSIGSTS right after signalling.
 */
static void latch_event(IDTNTBState *s, uint32_t se_bit, uint32_t *sts,
                        uint32_t msk, uint32_t bits)
{
    *sts |= bits;
    if ((bits & ~msk) && !(s->semsk & se_bit) &&
        !(s->sepmsk & (1u << s->port.part))) {
        s->ntintsts |= R_NTINTSTS_SEVENT_MASK;
        idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_TOLD,
                                 s->irq_seen & R_NTINTSTS_SEVENT_MASK);
    } else {
        idt_ntb_irq_record_quiet(s, NTB_SHM_QUIET_NEWS_MASKED, se_bit);
    }
}

/* The core names partitions, the part's link registers switch ports */
static uint32_t switch_ports(const NTBPort *port, uint32_t parts)
{
    uint32_t ports = 0;

    for (unsigned part = 0; part < port->nports; part++) {
        ports |= (parts >> part & 1) << ntb_number(port, part);
    }
    return ports;
}

void idt_ntb_event(NTBPort *port, NTBEvent event, uint32_t parts)
{
    IDTNTBState *s = idt_ntb_of(port);

    switch (event) {
    case NTB_EVENT_LINK_UP:
        latch_event(s, R_SESTS_LINKUP_MASK, &s->selinkupsts, s->selinkupmsk,
                    switch_ports(port, parts));
        break;
    case NTB_EVENT_LINK_DOWN:
        latch_event(s, R_SESTS_LINKDN_MASK, &s->selinkdnsts, s->selinkdnmsk,
                    switch_ports(port, parts));
        break;
    case NTB_EVENT_SIGNAL:
        latch_event(s, R_SESTS_GSIGNAL_MASK, &s->segsigsts, s->segsigmsk,
                    parts);
        break;
    }
}

void idt_ntb_ntgsignal_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    if (val & R_NTGSIGNAL_SET_MASK) {
        ntb_kick_signal(&s->port);
        /* The driver unmasks its own partition as well */
        idt_ntb_event(&s->port, NTB_EVENT_SIGNAL, 1u << s->port.part);
    }
}

void idt_ntb_msg_publish(IDTNTBState *s)
{
    IDTNTBShmArea *area = idt_ntb_area(s->port.own);

    ntb_shm_show(&area->outmsgsts, s->outmsgsts);
    for (unsigned m = 0; m < IDT_NTB_MSGS; m++) {
        ntb_shm_show(&area->swpmsgctl[m], s->swpmsgctl[m]);
    }
}
