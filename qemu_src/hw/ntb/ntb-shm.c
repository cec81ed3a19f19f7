/*
 * NTB port: the page that the ports of one switch share
 *
 * Who is alive is told by byte locks on the shared file, because the ids that
 * ivshmem-server hands out say nothing about ports, and because a lock goes
 * away with its process however that ends.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "qemu/timer.h"
#include "ntb-shm.h"

/*
 * Another port initialises the header in microseconds. The guest stands still
 * while we wait, if it runs already.
 */
#define INIT_LOCK_TIMEOUT_MS    500

/* A writer interrupted in the middle of its RAM table must not hang a reader */
#define SEQ_RETRIES             64

#define MSG_CAS_RETRIES         16

QEMU_BUILD_BUG_ON(sizeof(NTBShmHeader) != 0x60);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, linkup) != 0x040);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, ack) != 0x080);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, indbellsts) != 0x0c0);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, inmsg) != 0x100);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, spad) != 0x140);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, ram_seq) != 0x240);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, bar_addr) != 0x400);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, db_tx) != 0x480);
QEMU_BUILD_BUG_ON(offsetof(NTBShmPort, device) != NTB_SHM_DEVICE_OFF);
QEMU_BUILD_BUG_ON(sizeof(NTBShmPort) != NTB_SHM_PORT_STRIDE);
QEMU_BUILD_BUG_ON(NTB_SHM_PORT_OFF +
                  NTB_SHM_MAX_PORTS * NTB_SHM_PORT_STRIDE >
                  NTB_SHM_MIN_SIZE);
QEMU_BUILD_BUG_ON(sizeof(NTBShmRing) > NTB_SHM_RING_FIRST);
QEMU_BUILD_BUG_ON(sizeof(NTBShmEvent) != 0x40);
QEMU_BUILD_BUG_ON(NTB_SHM_RING_ENTRIES % 4);
QEMU_BUILD_BUG_ON(NTB_SHM_RING_OFF < NTB_SHM_MIN_SIZE);
QEMU_BUILD_BUG_ON(NTB_SHM_RING_FIRST +
                  NTB_SHM_RING_ENTRIES * sizeof(NTBShmEvent) >
                  NTB_SHM_RING_STRIDE);
QEMU_BUILD_BUG_ON(NTB_SHM_RING_OFF +
                  NTB_SHM_MAX_PORTS * NTB_SHM_RING_STRIDE !=
                  NTB_SHM_RINGS_END);

void ntb_shm_init(NTBShm *shm)
{
    shm->base = NULL;
    shm->size = 0;
    shm->lock_fd = -1;
    shm->claimed = -1;
    shm->nonce = 0;
    shm->dev = shm->ino = 0;
}

/*
 * The server gives every client the same open file description, on which locks
 * never conflict. Opening the file again makes one of our own.
 */
static int reopen(int fd, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    int own = open(path, O_RDWR | O_CLOEXEC);

    if (own < 0) {
        error_setg_errno(errp, errno,
                         "cannot reopen the server's shared memory for locking");
        error_append_hint(errp, "Run ivshmem-server as the user of QEMU.\n");
    }
    return own;
}

bool ntb_shm_map(NTBShm *shm, int fd, Error **errp)
{
    struct stat st;
    size_t size;
    void *base;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_setg(errp, "the server's shared memory is not a regular file");
        goto fail;
    }
    if (st.st_size < NTB_SHM_MIN_SIZE) {
        error_setg(errp, "the server's shared memory has 0x%" PRIx64 " bytes, "
                   "but the switch needs 0x%x: start ivshmem-server with -l 64K"
                   " or more", (uint64_t)st.st_size, NTB_SHM_MIN_SIZE);
        goto fail;
    }
    shm->lock_fd = reopen(fd, errp);
    if (shm->lock_fd < 0) {
        goto fail;
    }
    size = st.st_size < NTB_SHM_RINGS_END ? NTB_SHM_MIN_SIZE
                                          : NTB_SHM_RINGS_END;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map the server's shared memory");
        goto fail;
    }
    shm->base = base;
    shm->size = size;
    shm->dev = st.st_dev;
    shm->ino = st.st_ino;
    close(fd);
    return true;

fail:
    close(fd);
    return false;
}

bool ntb_shm_is_same(const NTBShm *shm, int fd)
{
    struct stat st;

    return shm->base && fstat(fd, &st) == 0 && st.st_dev == shm->dev &&
           st.st_ino == shm->ino;
}

static bool lock_init(NTBShm *shm, Error **errp)
{
    int64_t end = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + INIT_LOCK_TIMEOUT_MS;
    int ret;

    while ((ret = qemu_lock_fd(shm->lock_fd, NTB_SHM_LOCK_INIT, 1, true))) {
        if ((ret != -EAGAIN && ret != -EACCES) ||
            qemu_clock_get_ms(QEMU_CLOCK_REALTIME) > end) {
            error_setg_errno(errp, -ret, "cannot lock the shared page");
            return false;
        }
        g_usleep(1000);
    }
    return true;
}

static void unlock_init(NTBShm *shm)
{
    qemu_unlock_fd(shm->lock_fd, NTB_SHM_LOCK_INIT, 1);
}

bool ntb_shm_owner_alive(const NTBShm *shm, unsigned part)
{
    /* The test never reports a lock of our own description */
    if (shm->claimed == (int)part) {
        return true;
    }
    return qemu_lock_fd_test(shm->lock_fd, NTB_SHM_LOCK_PORT + part, 1,
                             true) != 0;
}

static bool any_owner_alive(const NTBShm *shm)
{
    for (unsigned part = 0; part < NTB_SHM_MAX_PORTS; part++) {
        if (ntb_shm_owner_alive(shm, part)) {
            return true;
        }
    }
    return false;
}

static uint32_t port_bitmap(const NTBSwitchConfig *cfg)
{
    uint32_t bitmap = 0;

    for (unsigned part = 0; part < cfg->nports; part++) {
        bitmap |= 1u << cfg->number[part];
    }
    return bitmap;
}

NTBShmRing *ntb_shm_ring(const NTBShm *shm, unsigned part)
{
    const NTBShmHeader *h = shm->base;

    if (shm->size < NTB_SHM_RINGS_END || h->ring_off != NTB_SHM_RING_OFF ||
        h->ring_stride != NTB_SHM_RING_STRIDE ||
        h->ring_entries != NTB_SHM_RING_ENTRIES) {
        return NULL;
    }
    return shm->base + NTB_SHM_RING_OFF + part * NTB_SHM_RING_STRIDE;
}

/* What is left of entries counts for nothing: nobody has written any */
static void rings_write(NTBShm *shm)
{
    NTBShmHeader *h = shm->base;

    if (shm->size < NTB_SHM_RINGS_END) {
        return;
    }
    h->ring_off = NTB_SHM_RING_OFF;
    h->ring_stride = NTB_SHM_RING_STRIDE;
    h->ring_entries = NTB_SHM_RING_ENTRIES;
    for (unsigned part = 0; part < NTB_SHM_MAX_PORTS; part++) {
        memset(ntb_shm_ring(shm, part), 0, sizeof(NTBShmRing));
    }
}

static void header_write(NTBShm *shm, const NTBSwitchConfig *cfg)
{
    NTBShmHeader *h = shm->base;

    memset(shm->base, 0, NTB_SHM_MIN_SIZE);
    h->major = NTB_SHM_MAJOR;
    h->minor = NTB_SHM_MINOR;
    h->endian = NTB_SHM_ENDIAN;
    h->hdr_size = sizeof(*h);
    h->port_off = NTB_SHM_PORT_OFF;
    h->port_stride = NTB_SHM_PORT_STRIDE;
    h->nports = cfg->nports;
    h->model = cfg->model;
    qemu_guest_getrandom_nofail(&h->switch_nonce, sizeof(h->switch_nonce));
    h->port_bitmap = port_bitmap(cfg);
    h->cfg_flags = cfg->cfg_flags;
    memcpy(h->barsetup, cfg->barsetup, sizeof(h->barsetup));
    rings_write(shm);
    smp_wmb();                  /* the magic announces all of the above */
    ntb_shm_set64(&h->magic, NTB_SHM_MAGIC);
}

static bool header_check(const NTBShm *shm, const NTBSwitchConfig *cfg,
                         Error **errp)
{
    const NTBShmHeader *h = shm->base;

    if (ntb_shm_get64(&h->magic) != NTB_SHM_MAGIC ||
        h->endian != NTB_SHM_ENDIAN) {
        error_setg(errp, "the shared page is in use but holds no switch: its "
                   "header is damaged; restart ivshmem-server and all guests");
        return false;
    }
    if (h->major != NTB_SHM_MAJOR ||
        h->port_off != NTB_SHM_PORT_OFF ||
        h->port_stride != NTB_SHM_PORT_STRIDE) {
        error_setg(errp, "the shared page has layout version %u, this device "
                   "speaks %u: run all guests on one QEMU version",
                   h->major, NTB_SHM_MAJOR);
        return false;
    }
    if (h->model != cfg->model) {
        error_setg(errp, "the shared page joins ports of model 0x%04x, this "
                   "one is 0x%04x: give each kind of port an ivshmem-server "
                   "of its own", h->model, cfg->model);
        return false;
    }
    if (h->nports != cfg->nports) {
        error_setg(errp, "nports=%u here, but the switch has %u ports",
                   cfg->nports, h->nports);
        return false;
    }
    if (h->cfg_flags != cfg->cfg_flags) {
        error_setg(errp, "%s differs from the other ports'", cfg->flags_from);
        return false;
    }
    for (int i = 0; i < NTB_SHM_NUM_BARS; i++) {
        if (h->barsetup[i] != cfg->barsetup[i]) {
            error_setg(errp, "BAR%d is set up as 0x%08x here, but as 0x%08x on "
                       "the other ports: give all ports the same %s", i,
                       cfg->barsetup[i], h->barsetup[i], cfg->bars_from);
            return false;
        }
    }
    return true;
}

static bool claim_locked(NTBShm *shm, unsigned part,
                         const NTBSwitchConfig *cfg, Error **errp)
{
    NTBShmPort *own = ntb_shm_port(shm, part);
    unsigned number = cfg->number[part];

    if (!any_owner_alive(shm)) {
        /* The last power cycle of the switch is over, whatever it left */
        header_write(shm, cfg);
    } else if (!header_check(shm, cfg, errp)) {
        return false;
    }
    if (qemu_lock_fd(shm->lock_fd, NTB_SHM_LOCK_PORT + part, 1, true)) {
        error_setg(errp, "port %u (number=%u) is already in use", number, part);
        return false;
    }
    shm->claimed = part;
    shm->nonce = ((NTBShmHeader *)shm->base)->switch_nonce;
    memset(own, 0, sizeof(*own));
    own->port = number;
    own->part = part;
    own->pid = getpid();
    qatomic_store_release(&own->state, NTB_SHM_CLAIMED);
    return true;
}

bool ntb_shm_claim(NTBShm *shm, unsigned part, const NTBSwitchConfig *cfg,
                   Error **errp)
{
    bool ok;

    if (!lock_init(shm, errp)) {
        return false;
    }
    ok = claim_locked(shm, part, cfg, errp);
    unlock_init(shm);
    return ok;
}

void ntb_shm_release(NTBShm *shm)
{
    if (shm->claimed >= 0) {
        NTBShmPort *own = ntb_shm_port(shm, shm->claimed);

        qatomic_store_release(&own->state, NTB_SHM_FREE);
    }
    if (shm->base) {
        munmap(shm->base, shm->size);
    }
    if (shm->lock_fd >= 0) {
        close(shm->lock_fd);            /* drops the locks */
    }
    ntb_shm_init(shm);
}

/*
 * One compare-and-swap publishes data, source and status together, so a sender
 * killed at any point leaves no half-written message.
 */
bool ntb_shm_msg_send(NTBShmPort *to, unsigned m, uint32_t data,
                      unsigned src_part)
{
    uint64_t word = NTB_SHM_INMSG_FULL | data |
                    (uint64_t)src_part << NTB_SHM_INMSG_SRC_SHIFT;
    uint64_t old = ntb_shm_get64(&to->inmsg[m]);

    for (int i = 0; i < MSG_CAS_RETRIES; i++) {
        uint64_t seen;

        if (old & NTB_SHM_INMSG_FULL) {
            return false;
        }
        seen = qatomic_cmpxchg__nocheck(&to->inmsg[m], old, word);
        if (seen == old) {
            return true;
        }
        old = seen;
    }
    return false;
}

void ntb_shm_msg_done(NTBShmPort *own, unsigned m)
{
    qatomic_fetch_and(&own->inmsg[m], ~NTB_SHM_INMSG_FULL);
}

void ntb_shm_ram_publish(NTBShmPort *own, const NTBRamTable *table)
{
    uint32_t seq = qatomic_read(&own->ram_seq) | 1;

    qatomic_set(&own->ram_seq, seq);
    smp_wmb();                  /* readers see it odd before any change */
    qatomic_set(&own->nseg, table->nseg);
    ntb_shm_set64(&own->ram_dev, table->dev);
    ntb_shm_set64(&own->ram_ino, table->ino);
    ntb_shm_set64(&own->ram_size, table->size);
    memcpy(own->seg, table->seg, sizeof(own->seg));
    qatomic_store_release(&own->ram_seq, seq + 1);
}

/* Segments must lie in the file, ascend, and not overlap or wrap around */
static bool ram_table_valid(const NTBRamTable *t)
{
    uint64_t gpa_end = 0;

    if (!t->nseg || t->nseg > NTB_SHM_MAX_SEGS) {
        return false;
    }
    for (uint32_t i = 0; i < t->nseg; i++) {
        const NTBShmSeg *seg = &t->seg[i];

        if (!seg->len || seg->gpa < gpa_end ||
            seg->len > UINT64_MAX - seg->gpa || seg->off > t->size ||
            seg->len > t->size - seg->off) {
            return false;
        }
        gpa_end = seg->gpa + seg->len;
    }
    return true;
}

bool ntb_shm_ram_read(const NTBShmPort *peer, NTBRamTable *table)
{
    for (int i = 0; i < SEQ_RETRIES; i++) {
        uint32_t seq = qatomic_load_acquire(&peer->ram_seq);

        table->nseg = qatomic_read(&peer->nseg);
        table->dev = ntb_shm_get64(&peer->ram_dev);
        table->ino = ntb_shm_get64(&peer->ram_ino);
        table->size = ntb_shm_get64(&peer->ram_size);
        memcpy(table->seg, peer->seg, sizeof(table->seg));
        smp_rmb();              /* the copy is done before the second look */
        if (!(seq & 1) && qatomic_read(&peer->ram_seq) == seq) {
            return ram_table_valid(table);
        }
    }
    return false;
}
