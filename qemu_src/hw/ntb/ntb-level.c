/*
 * NTB port: the levels that this port shows
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-level.h"
#include "ntb-record.h"

bool ntb_level_update(NTBPort *s)
{
    bool before = s->admits;

    s->admits = s->linkup && s->ops->admits(s);
    return before && !s->admits;
}

void ntb_level_publish(NTBPort *s)
{
    NTBShmPort *own = s->own;

    qatomic_set(&own->flags, s->flags);
    s->ops->show_levels(s);
    qatomic_set(&own->admits, s->admits);
    qatomic_store_release(&own->linkup, s->linkup);
    ntb_record_level(s, NTB_SHM_EV_LINK, &s->recorder.linkup, s->linkup);
    ntb_record_level(s, NTB_SHM_EV_ADMITS, &s->recorder.admits, s->admits);
}

/* First the server, then its id: others take neither while the flag is set */
void ntb_level_publish_client(NTBPort *s)
{
    qatomic_set(&s->own->server_pid, s->server.conn.pid);
    qatomic_set(&s->own->ivshmem_id, s->server.conn.id);
}
