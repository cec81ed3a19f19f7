/*
 * NTB port: the flight recorder
 *
 * What happens at this port is written down in its ring of the shared page,
 * where tools read it, also after this process. Kinds, and what their numbers
 * are, are in include/hw/ntb/ntb_shm.h.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_RECORD_H
#define HW_NTB_NTB_RECORD_H

#include "ntb-port.h"

/* The port has joined a page, or another one */
void ntb_record_start(NTBPort *s);
/* It is about to give its page up */
void ntb_record_stop(NTBPort *s);

/*
 * Write down an event of @kind (NTB_SHM_EV_*); @peer is a partition, or
 * NTB_SHM_NOBODY. Does nothing where nothing is recorded.
 */
void ntb_record(NTBPort *s, uint32_t kind, uint32_t peer, uint32_t num,
                uint64_t a, uint64_t b);

/* Write down that a level is another one now; @shown is what was written */
void ntb_record_level(NTBPort *s, uint32_t kind, bool *shown, bool level);

/*
 * What is recorded in between is the doing of other ports, whatever it is.
 * Gives what ntb_record_own() takes.
 */
bool ntb_record_peers(NTBPort *s);
void ntb_record_own(NTBPort *s, bool before);

#endif /* HW_NTB_NTB_RECORD_H */
