/*
 * NTB port: doorbells and messages that have come in
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_INBOX_H
#define HW_NTB_NTB_INBOX_H

#include "ntb-port.h"

/*
 * Look what has come since the last look: s->db_new and s->msg_new are masks of
 * it while NTBPortOps.irq_changed runs.
 */
void ntb_inbox_look(NTBPort *s);
/* The guest clears doorbells; gives what was set before */
uint32_t ntb_inbox_clear_doorbells(NTBPort *s, uint32_t bits);
/* The guest has read message register @m, which may be filled again */
void ntb_inbox_clear_message(NTBPort *s, unsigned m);
/* All is empty, as after a reset */
void ntb_inbox_forget(NTBPort *s);

#endif /* HW_NTB_NTB_INBOX_H */
