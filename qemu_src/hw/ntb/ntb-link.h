/*
 * NTB port: life cycle and link state
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_LINK_H
#define HW_NTB_NTB_LINK_H

#include "ntb-port.h"

void ntb_link_init(NTBPort *s);
void ntb_link_exit(NTBPort *s);
void ntb_link_try_attach(NTBPort *s);
/* A new server has the page that we are on */
void ntb_link_rejoined(NTBPort *s);
/* A new server has another page: go there. Takes @shm_fd. */
bool ntb_link_change_switch(NTBPort *s, int shm_fd);
void ntb_link_reset_enter(NTBPort *s);
void ntb_link_reset_hold(NTBPort *s);
void ntb_link_reset_exit(NTBPort *s);
/* Plug the cable in, or pull it: both sides lose sight of each other */
void ntb_link_plug(NTBPort *s, bool plugged);
/* After a change of anything that may_send() or admits() rests on */
/* What this port shows has changed; waits where peers' windows must close */
void ntb_link_changed(NTBPort *s);
/* Peers' windows into here lead elsewhere: see ntb_quiesce_waits_for() */
void ntb_link_redirected(NTBPort *s);

#endif /* HW_NTB_NTB_LINK_H */
