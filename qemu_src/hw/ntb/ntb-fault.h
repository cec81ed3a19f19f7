/*
 * NTB port: faults on purpose, for tests of drivers
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_FAULT_H
#define HW_NTB_NTB_FAULT_H

#include "ntb-port.h"

/*
 * In instance_init(): the properties x-fault-lose-doorbells, how many of the
 * next doorbell writes are lost, and x-fault-delay-doorbells-ms, how much later
 * they arrive. Both may be set while the guest runs.
 */
void ntb_fault_add_properties(NTBPort *s, Object *device);
void ntb_fault_start(NTBPort *s, void (*deliver)(NTBPort *s, uint32_t bits));
void ntb_fault_stop(NTBPort *s);

/* True if doorbells @bits are lost, or will be delivered later */
bool ntb_fault_takes(NTBPort *s, uint32_t bits);

#endif /* HW_NTB_NTB_FAULT_H */
