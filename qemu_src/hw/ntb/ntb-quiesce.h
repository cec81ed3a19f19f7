/*
 * NTB port: closing the windows of others
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_QUIESCE_H
#define HW_NTB_NTB_QUIESCE_H

#include "ntb-port.h"

void ntb_quiesce_join(NTBPort *s);
void ntb_quiesce_leave(NTBPort *s);
/* Wait for all, under the BQL */
void ntb_quiesce(NTBPort *s);
/*
 * Whom to wait for without holding anybody up: a mask of partitions. Who has
 * done it kicks; who wants to wait no longer says so after @ms.
 */
uint32_t ntb_quiesce_waits_for(NTBPort *s);
void ntb_quiesce_gave_up(NTBPort *s, uint32_t mask, unsigned ms);

#endif /* HW_NTB_NTB_QUIESCE_H */
