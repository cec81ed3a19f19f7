/*
 * NTB port: this guest's RAM for the peers, and the peers' RAM files
 *
 * A port publishes where its RAM lies in its RAM file. Another port opens that
 * file under the path of its own properties, never under one that a peer names,
 * and takes it only if it is the file the peer described.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "ntb-ram.h"
#include "ntb-warn.h"
#include "trace.h"

OBJECT_DEFINE_SIMPLE_TYPE(NTBPeerRam, ntb_peer_ram,
                          NTB_PEER_RAM, OBJECT)

static void ntb_peer_ram_init(Object *obj)
{
}

static void ntb_peer_ram_finalize(Object *obj)
{
    /* The region, a child of this object, closes the file */
}

static void ntb_peer_ram_class_init(ObjectClass *klass,
                                    NTB_CONST void *data)
{
}

/* "%d" stands for number + 1; no printf is involved */
static char *expand_path(const char *template, unsigned part)
{
    g_autofree char *number = g_strdup_printf("%u", part + 1);
    g_auto(GStrv) pieces = g_strsplit(template, "%d", -1);

    return g_strjoinv(number, pieces);
}

bool ntb_ram_check_paths(NTBPort *s, Error **errp)
{
    for (const char *p = s->mem_path; (p = strchr(p, '%')); p += 2) {
        if (p[1] != 'd') {
            error_setg(errp, "mem-path=%s: only %%d is replaced, by number+1; "
                       "use mem-path-0 to mem-path-5 for names with other "
                       "percent signs", s->mem_path);
            return false;
        }
    }
    return true;
}

static char *peer_path(const NTBPort *s, unsigned part)
{
    if (s->mem_path_of[part]) {
        return g_strdup(s->mem_path_of[part]);
    }
    return expand_path(s->mem_path, part);
}

typedef struct CollectState {
    const MemoryRegion *mr;     /* the machine's RAM */
    NTBRamTable table;
    bool overflow;
} CollectState;

static bool usable_ram(const MemoryRegion *mr)
{
    return mr->ram && !mr->readonly && !mr->rom_device && !mr->ram_device &&
           mr->ram_block && mr->ram_block->fd >= 0 &&
           qemu_ram_is_shared(mr->ram_block);
}

static bool collect_ram(Int128 start, Int128 len, const MemoryRegion *mr,
                        hwaddr offset, void *opaque)
{
    CollectState *c = opaque;
    NTBRamTable *t = &c->table;
    NTBShmSeg *last = t->nseg ? &t->seg[t->nseg - 1] : NULL;
    uint64_t gpa = int128_getlo(start);
    uint64_t size = int128_getlo(len);
    uint64_t skip;

    if (!usable_ram(mr) || (c->mr && mr != c->mr)) {
        return false;
    }
    /* Below 1 MiB the chipset moves ROM, RAM and video memory about */
    skip = gpa < 1 * MiB ? MIN(1 * MiB - gpa, size) : 0;
    gpa += skip;
    size -= skip;
    offset += skip + mr->ram_block->fd_offset;
    if (!size) {
        return false;
    }
    c->mr = mr;
    if (last && last->gpa + last->len == gpa &&
        last->off + last->len == offset) {
        last->len += size;
        return false;
    }
    if (t->nseg == NTB_SHM_MAX_SEGS) {
        c->overflow = true;
        return true;
    }
    t->seg[t->nseg++] = (NTBShmSeg) {
        .gpa = gpa, .len = size, .off = offset
    };
    return false;
}

void ntb_ram_publish(NTBPort *s)
{
    MemoryRegion *ram = current_machine->ram;
    CollectState c = { .mr = ram && usable_ram(ram) ? ram : NULL };
    struct stat st;

    rcu_read_lock();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            collect_ram, &c);
    rcu_read_unlock();

    s->ram_published = true;
    if (!c.table.nseg || fstat(c.mr->ram_block->fd, &st) < 0) {
        warn_report("%s: guest RAM is not in a shared file, so no window can "
                    "reach it: use -object memory-backend-file,share=on",
                    s->ops->name);
        return;
    }
    if (c.overflow) {
        warn_report("%s: guest RAM has more than %d pieces; windows reach only "
                    "the first", s->ops->name, NTB_SHM_MAX_SEGS);
    }
    c.table.dev = st.st_dev;
    c.table.ino = st.st_ino;
    c.table.size = st.st_size;
    ntb_shm_ram_publish(s->own, &c.table);
    s->flags |= NTB_SHM_F_RAM_SHARED;
    ntb_ram_update_iommu(s);
}

/* Behind an IOMMU the addresses a driver hands to its peer are not physical */
void ntb_ram_update_iommu(NTBPort *s)
{
    if (s->ops->dma(s) != &address_space_memory) {
        if (!(s->flags & NTB_SHM_F_IOMMU)) {
            warn_report("%s: this port is behind an IOMMU; windows into this "
                        "guest stay closed", s->ops->name);
        }
        s->flags |= NTB_SHM_F_IOMMU;
    } else {
        s->flags &= ~NTB_SHM_F_IOMMU;
    }
}

#define FILE_EMPTY  "empty"

/* The RAM region needs the file up to here */
static uint64_t table_end(const NTBRamTable *t)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < t->nseg; i++) {
        end = MAX(end, t->seg[i].off + t->seg[i].len);
    }
    return end;
}

static bool file_matches(int fd, const NTBRamTable *t, const char **why)
{
    struct stat st;

    *why = NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        *why = "not a regular file";
    } else if (!st.st_size) {
        /* Just created; QEMU would take it for a file of any size */
        *why = FILE_EMPTY;
    } else if (st.st_dev != t->dev || st.st_ino != t->ino) {
        *why = "not the file the peer has as its RAM";
    } else if (st.st_size < table_end(t)) {
        *why = "smaller than the peer's RAM";
    }
    return !*why;
}

static NTBPeerRam *map_file(NTBPort *s, int fd, const NTBRamTable *t)
{
    Object *obj = object_new(TYPE_NTB_PEER_RAM);
    NTBPeerRam *ram = NTB_PEER_RAM(obj);
    Error *err = NULL;

    if (!memory_region_init_ram_from_fd(&ram->mr, obj, "ntb-peer-ram",
                                        table_end(t), RAM_SHARED, fd, 0,
                                        &err)) {
        ntb_warn(s, "cannot map a peer's RAM file: %s",
                 error_get_pretty(err));
        error_free(err);
        close(fd);
        object_unref(obj);
        return NULL;
    }
    ram->dev = t->dev;
    ram->ino = t->ino;
    ram->size = table_end(t);
    return ram;
}

/*
 * A peer that is still starting has no file yet, or an empty one. Anything else
 * is a mistake to be heard of, once: a peer can repeat it at will.
 */
static void reject(NTBPort *s, unsigned part, const char *path,
                   const char *why, bool expected)
{
    trace_ntb_ram_reject(s->part, part, path, why);
    if (!expected && !s->peer[part].ram_warned) {
        s->peer[part].ram_warned = true;
        ntb_warn(s, "windows into port %u stay closed: %s: %s",
                 ntb_number(s, part), path, why);
    }
}

static NTBPeerRam *open_ram(NTBPort *s, unsigned part)
{
    const NTBRamTable *t = &s->peer[part].table;
    g_autofree char *path = peer_path(s, part);
    const char *why;
    int fd = qemu_open(path, O_RDWR | O_NONBLOCK | O_NOCTTY, NULL);

    if (fd < 0) {
        reject(s, part, path, strerror(errno), errno == ENOENT);
        return NULL;
    }
    if (!file_matches(fd, t, &why)) {
        reject(s, part, path, why, !strcmp(why, FILE_EMPTY));
        close(fd);
        return NULL;
    }
    trace_ntb_ram_open(s->part, part, path, table_end(t));
    return map_file(s, fd, t);
}

/*
 * A file that somebody truncated must not end this process by SIGBUS when the
 * device itself copies from it. What a vCPU does in an alias is out of reach.
 */
bool ntb_ram_holds(NTBPeerRam *ram, uint64_t end)
{
    struct stat st;

    return fstat(memory_region_get_fd(&ram->mr), &st) == 0 && st.st_size >= end;
}

void ntb_ram_drop(NTBPort *s, unsigned part)
{
    NTBPeer *peer = &s->peer[part];

    if (peer->ram) {
        /* Windows hold references of their own until they are updated */
        object_unref(OBJECT(peer->ram));
        peer->ram = NULL;
    }
    peer->table_valid = false;
}

/* The peer has (re)started: its RAM may lie elsewhere now */
void ntb_ram_new_incarnation(NTBPort *s, unsigned part)
{
    ntb_ram_drop(s, part);
    s->peer[part].ram_warned = false;
}

/* Called on every kick of the peer: a file that was missing is found later */
void ntb_ram_refresh(NTBPort *s, unsigned part)
{
    NTBPeer *peer = &s->peer[part];

    if (!(peer->flags & NTB_SHM_F_RAM_SHARED) ||
        (peer->flags & NTB_SHM_F_IOMMU)) {
        ntb_ram_drop(s, part);
        return;
    }
    if (!peer->table_valid) {
        peer->table_valid =
            ntb_shm_ram_read(ntb_block(s, part), &peer->table);
    }
    if (peer->table_valid && !peer->ram) {
        peer->ram = open_ram(s, part);
    }
}
