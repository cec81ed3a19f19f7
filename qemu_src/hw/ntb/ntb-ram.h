/*
 * NTB port: this guest's RAM for the peers, and the peers' RAM files
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_RAM_H
#define HW_NTB_NTB_RAM_H

#include "ntb-port.h"

#define TYPE_NTB_PEER_RAM "ntb-peer-ram"
OBJECT_DECLARE_SIMPLE_TYPE(NTBPeerRam, NTB_PEER_RAM)

/* A peer's RAM file, mapped; lives until the last view of it is gone */
struct NTBPeerRam {
    Object parent_obj;
    MemoryRegion mr;
    uint64_t dev, ino, size;
};

bool ntb_ram_check_paths(NTBPort *s, Error **errp);
void ntb_ram_publish(NTBPort *s);
void ntb_ram_update_iommu(NTBPort *s);
void ntb_ram_new_incarnation(NTBPort *s, unsigned part);
void ntb_ram_refresh(NTBPort *s, unsigned part);
void ntb_ram_drop(NTBPort *s, unsigned part);
/* Does the file still reach up to @end? */
bool ntb_ram_holds(NTBPeerRam *ram, uint64_t end);

#endif /* HW_NTB_NTB_RAM_H */
