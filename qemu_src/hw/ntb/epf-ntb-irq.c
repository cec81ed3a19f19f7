/*
 * EPF NTB port: the link as the guest sees it, doorbells that come, MSI-X
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/msix.h"
#include "epf-ntb-irq.h"
#include "epf-ntb-page.h"
#include "ntb-inbox.h"
#include "ntb-peer.h"
#include "ntb-record.h"
#include "trace.h"

/* A guest may aim a message at the device itself; that must come to an end */
#define MAX_ROUNDS  8

/* May this vector be raised? A disabled MSI-X would remember it for later. */
static bool usable(EPFNTBState *s, unsigned vector)
{
    return vector < s->vectors && msix_enabled(PCI_DEVICE(s));
}

static void record_quiet(EPFNTBState *s, uint32_t why, uint32_t bits)
{
    ntb_record(&s->port, NTB_SHM_EV_QUIET, NTB_SHM_NOBODY, why, bits, bits);
}

/* What comes of it may even unplug the device */
static void raise_vector(EPFNTBState *s, unsigned vector)
{
    uint32_t bit = 1u << vector;

    trace_epf_ntb_irq(s->port.part, vector);
    NTB_COUNT(&s->port, msi);
    if (msix_is_masked(PCI_DEVICE(s), vector)) {
        record_quiet(s, NTB_SHM_QUIET_DB_MASKED, bit);
    } else {
        ntb_record(&s->port, NTB_SHM_EV_IRQ, NTB_SHM_NOBODY, 0, bit, bit);
    }
    msix_notify(PCI_DEVICE(s), vector);
}

static bool link_is_up(EPFNTBState *s)
{
    return s->port.own && !s->port.in_reset && s->port.admits &&
           ntb_peer_admits(&s->port, epf_ntb_peer(s));
}

/*
 * The port that commands a change must not be interrupted for it: Linux'
 * transport frees what its interrupt handler would use next.
 */
static void set_link(EPFNTBState *s, bool up, bool by_peer)
{
    if (up == s->link_up) {
        return;
    }
    s->link_up = up;
    epf_ntb_page_put16(s, A_EPF_LINK_STATUS, up);
    ntb_record(&s->port, NTB_SHM_EV_REGISTER, NTB_SHM_NOBODY, A_EPF_LINK_STATUS,
               up, !up);
    trace_epf_ntb_link(s->port.part, up, by_peer);
    if (by_peer && usable(s, EPF_VECTOR_LINK)) {
        EPF_NTB_COUNT(s, link_irqs);
        raise_vector(s, EPF_VECTOR_LINK);
    }
}

void epf_ntb_irq_own_link(EPFNTBState *s)
{
    set_link(s, link_is_up(s), false);
}

/* A peer that was down, if only for a moment, has forgotten all it knew */
static void take_link(EPFNTBState *s)
{
    if (s->link_fell) {
        s->link_fell = false;
        set_link(s, false, true);
    }
    set_link(s, link_is_up(s), true);
}

static void take_doorbell(EPFNTBState *s, unsigned vector)
{
    if (vector < EPF_VECTOR_FIRST_DB || !s->link_up || !usable(s, vector)) {
        EPF_NTB_COUNT(s, dropped_rx);
        record_quiet(s, NTB_SHM_QUIET_MASKED, 1u << vector);
        return;
    }
    EPF_NTB_COUNT(s, raised[vector]);
    raise_vector(s, vector);
}

static void take_doorbells(EPFNTBState *s)
{
    uint32_t bits = ntb_inbox_clear_doorbells(&s->port, ~0u);

    for (unsigned n = 0; n < EPF_NTB_SHM_NUM_DB && s->port.own; n++) {
        if (bits & (1u << n)) {
            take_doorbell(s, n);
        }
    }
}

void epf_ntb_irq_update(EPFNTBState *s)
{
    if (s->irq_busy) {
        s->irq_again = true;
        return;
    }
    s->irq_busy = true;
    for (int i = 0; i < MAX_ROUNDS && s->port.own; i++) {
        s->irq_again = false;
        take_link(s);
        if (s->port.own) {
            take_doorbells(s);
        }
        if (!s->irq_again) {
            break;
        }
    }
    s->irq_busy = false;
}

uint32_t epf_ntb_irq_masked(EPFNTBState *s)
{
    uint32_t mask = 0;

    for (unsigned n = 0; n < s->msix_vectors; n++) {
        mask |= (uint32_t)msix_is_masked(PCI_DEVICE(s), n) << n;
    }
    return mask;
}

uint32_t epf_ntb_irq_waiting(EPFNTBState *s)
{
    return ldl_le_p(PCI_DEVICE(s)->msix_pba);
}

void epf_ntb_irq_reset(EPFNTBState *s)
{
    s->vectors = 0;
    s->link_up = s->link_fell = false;
    epf_ntb_page_put16(s, A_EPF_LINK_STATUS, 0);
    msix_reset(PCI_DEVICE(s));
}
