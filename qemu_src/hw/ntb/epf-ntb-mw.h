/*
 * EPF NTB port: translations, our own and the peer's
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_MW_H
#define HW_NTB_EPF_NTB_MW_H

#include "epf-ntb-state.h"

bool epf_ntb_mw_setup(EPFNTBState *s, Error **errp);
void epf_ntb_mw_register(EPFNTBState *s);
/* Lead the peer's window @n to @addr of this guest; false: refused, closed */
bool epf_ntb_mw_set(EPFNTBState *s, unsigned n, uint64_t addr, uint64_t size);
void epf_ntb_mw_clear(EPFNTBState *s, unsigned n);
/* Is the peer's window @n led anywhere? */
bool epf_ntb_mw_is_set(const EPFNTBState *s, unsigned n);
/* Show them, and take in those that the peer shows */
void epf_ntb_mw_show(EPFNTBState *s);
void epf_ntb_mw_take(EPFNTBState *s, unsigned part);
NTBTranslation epf_ntb_mw_translation(NTBPort *port, unsigned window);

#endif /* HW_NTB_EPF_NTB_MW_H */
