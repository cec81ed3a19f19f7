/*
 * NTB port: the other ports as this one sees them
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_PEER_H
#define HW_NTB_NTB_PEER_H

#include "ntb-port.h"

/* How often a port is looked at of whose death nobody would tell */
#define NTB_PEER_CHECK_MS   1000

bool ntb_peer_admits(const NTBPort *s, unsigned part);
bool ntb_peer_attached_now(const NTBPort *s, unsigned part);
/* The same, but for one that is known to have died and left its block */
bool ntb_peer_lives_now(const NTBPort *s, unsigned part);
uint32_t ntb_peer_doorbells(const NTBPort *s, unsigned part);
/* The eventfd that wakes @part, as things are now, or -1 */
int ntb_peer_eventfd(const NTBPort *s, unsigned part);
/* Is @part on the page, but out of our reach? */
bool ntb_peer_hidden_now(const NTBPort *s, unsigned part);
void ntb_peer_refresh(NTBPort *s, unsigned part);
void ntb_peer_forget_all(NTBPort *s);
/* Its process is gone: take back all that it was known by */
void ntb_peer_set_client(NTBPeer *peer, NTBClient *client);
void ntb_peer_clear_levels(NTBPeer *peer);
/* Would nobody tell us if it died? */
bool ntb_peer_unwatched(const NTBPort *s, const NTBPeer *peer);
void ntb_peer_look_again(NTBPort *s, unsigned ms);

#endif /* HW_NTB_NTB_PEER_H */
