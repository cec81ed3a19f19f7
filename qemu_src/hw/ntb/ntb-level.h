/*
 * NTB port: the levels that this port shows
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_LEVEL_H
#define HW_NTB_NTB_LEVEL_H

#include "ntb-port.h"

/* Ask the frontend; true if peers' windows into here must close now */
bool ntb_level_update(NTBPort *s);
void ntb_level_publish(NTBPort *s);
/* Which client of which server this port is */
void ntb_level_publish_client(NTBPort *s);

#endif /* HW_NTB_NTB_LEVEL_H */
