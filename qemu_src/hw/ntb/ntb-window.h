/*
 * NTB port: memory windows
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_WINDOW_H
#define HW_NTB_NTB_WINDOW_H

#include "ntb-port.h"

/* Another BAR of @size bytes in @slots windows, of which the first @n exist */
NTBWindowBar *ntb_window_add_bar(NTBPort *s, unsigned num, uint64_t size,
                                 unsigned slots, unsigned n);
/* Make the memory regions of all BARs, which the frontend then registers */
void ntb_window_init(NTBPort *s);
/* The guest has programmed @window: write down where it leads now */
void ntb_window_record(NTBPort *s, unsigned window);
/* Open and close what has to be, after any change */
void ntb_window_update(NTBPort *s);
void ntb_window_close_all(NTBPort *s);

#endif /* HW_NTB_NTB_WINDOW_H */
