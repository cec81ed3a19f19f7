/*
 * NTB port: from realize to unrealize, for frontends
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_LIFE_H
#define HW_NTB_NTB_LIFE_H

#include "ntb-port.h"

/*
 * In realize(), in this order: ntb_life_init(), the frontend's own work with
 * its BARs and its registers at their reset values, ntb_life_join(). What fails
 * in between, or later, ends in ntb_life_exit().
 */
void ntb_life_init(NTBPort *s, Object *owner, const NTBPortOps *ops);
/* Are the properties that all frontends have in order? @most: ports */
bool ntb_life_check(NTBPort *s, unsigned most, Error **errp);
bool ntb_life_join(NTBPort *s, Error **errp);
/* The port has joined: take part from now on */
void ntb_life_start(NTBPort *s);
void ntb_life_exit(NTBPort *s);

#endif /* HW_NTB_NTB_LIFE_H */
