/*
 * NTB port: what is sent to the other ports
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_KICK_H
#define HW_NTB_NTB_KICK_H

#include "ntb-port.h"

void ntb_kick(NTBPort *s, unsigned part);
void ntb_kick_all(NTBPort *s);
/* Wake all ports, also those that seem to be about to wake */
void ntb_kick_ring_all(NTBPort *s);
void ntb_kick_link(NTBPort *s, bool up);
void ntb_kick_signal(NTBPort *s);
/* Set doorbell bits of all ports that can be reached */
void ntb_kick_doorbell(NTBPort *s, uint32_t bits);
/* The same past the faults on purpose */
void ntb_kick_deliver(NTBPort *s, uint32_t bits);
/* Put @data into a message register of @part; false if that is refused */
bool ntb_kick_message(NTBPort *s, unsigned part, unsigned reg, uint32_t data);

#endif /* HW_NTB_NTB_KICK_H */
