/*
 * EPF NTB port: the registers of page 0
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "epf-ntb-cmd.h"
#include "epf-ntb-irq.h"
#include "epf-ntb-page.h"
#include "epf-ntb-regs.h"
#include "trace.h"

/* All that is known of a register, or of @count alike ones side by side */
typedef struct EPFNTBReg {
    uint32_t addr;
    const char *name;
    unsigned size;              /* of an access that counts */
    bool writable;              /* it keeps what is written */
    uint32_t reset;
    uint32_t (*initial)(const EPFNTBState *s, unsigned n);  /* over @reset */
    void (*write)(EPFNTBState *s, uint32_t val);
    unsigned count;             /* 0: one */
} EPFNTBReg;

static uint32_t spad_count(const EPFNTBState *s, unsigned n)
{
    return s->spads;
}

static uint32_t db_data(const EPFNTBState *s, unsigned n)
{
    return 1u << n;
}

#define REG(r, bytes) .addr = A_EPF_##r, .name = #r, .size = bytes

static const EPFNTBReg regs[] = {
    { REG(COMMAND, 4), .write = epf_ntb_cmd_run },
    { REG(ARGUMENT, 4), .writable = true },
    { REG(CMD_STATUS, 2), .writable = true },
    { REG(LINK_STATUS, 2) },
    { REG(TOPOLOGY, 4) },
    { REG(LOWER_ADDR, 4), .writable = true },
    { REG(UPPER_ADDR, 4), .writable = true },
    { REG(LOWER_SIZE, 4), .writable = true },
    { REG(UPPER_SIZE, 4), .writable = true },
    { REG(MW_COUNT, 4), .reset = EPF_NTB_WINDOWS },
    { REG(MW1_OFFSET, 4) },
    { REG(SPAD_OFFSET, 4), .reset = EPF_NTB_SPAD_OFF },
    { REG(SPAD_COUNT, 4), .initial = spad_count },
    { REG(DB_ENTRY_SIZE, 4), .reset = 4 },
    { A_EPF_DB_DATA0, "DB_DATA", 4, .initial = db_data,
      .count = EPF_NTB_SHM_NUM_DB },
    { A_EPF_DB_OFFSET0, "DB_OFFSET", 4, .count = EPF_NTB_SHM_NUM_DB },
};

static unsigned count_of(const EPFNTBReg *r)
{
    return MAX(r->count, 1);
}

static const EPFNTBReg *find(hwaddr addr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        const EPFNTBReg *r = &regs[i];

        if (addr >= r->addr && addr < r->addr + count_of(r) * r->size) {
            return r;
        }
    }
    return NULL;
}

static void put(EPFNTBState *s, const EPFNTBReg *r, uint32_t addr, uint32_t val)
{
    if (r->size == 2) {
        epf_ntb_page_put16(s, addr, val);
    } else {
        epf_ntb_page_put(s, addr, val);
    }
}

static void write_reg(EPFNTBState *s, const EPFNTBReg *r, uint32_t val)
{
    if (r->writable) {
        put(s, r, r->addr, val);
    }
    if (r->write) {
        r->write(s, val);
    }
    ntb_publish(&s->port);
}

static void page_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    EPFNTBState *s = opaque;
    const EPFNTBReg *r = find(addr);
    const char *name = r ? r->name : "?";

    if (!s->port.own) {
        return;                 /* unplugged while the access was on its way */
    }
    trace_epf_ntb_reg_write(s->port.part, addr, name, size, val);
    if (!r || r->size != size || addr % size || !(r->writable || r->write)) {
        qemu_log_mask(LOG_GUEST_ERROR, "ntb-epf: write of %u bytes to register "
                      "0x%" HWADDR_PRIx " (%s) is ignored\n", size, addr, name);
        return;
    }
    write_reg(s, r, val);
}

/* The page itself answers reads; this is for whoever turns that off */
static uint64_t page_read(void *opaque, hwaddr addr, unsigned size)
{
    EPFNTBState *s = opaque;

    return ldn_le_p(s->regs + addr, size);
}

static const MemoryRegionOps page_ops = {
    .read = page_read,
    .write = page_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
};

bool epf_ntb_regs_init(EPFNTBState *s, Error **errp)
{
    /* No migration, so no name for it in a stream */
    if (!memory_region_init_rom_device_nomigrate(&s->page, OBJECT(s), &page_ops,
                                                 s, "ntb-epf-regs",
                                                 EPF_NTB_PAGE_SIZE, errp)) {
        return false;
    }
    s->regs = memory_region_get_ram_ptr(&s->page);
    return true;
}

void epf_ntb_regs_reset(EPFNTBState *s)
{
    memset(s->regs, 0, EPF_NTB_PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        const EPFNTBReg *r = &regs[i];

        for (unsigned n = 0; n < count_of(r); n++) {
            put(s, r, r->addr + n * r->size,
                r->initial ? r->initial(s, n) : r->reset);
        }
    }
}

/* Statistics are those of one switch */
static void start_counting(EPFNTBState *s)
{
    if (s->counted_on != s->port.shm.nonce) {
        s->counted_on = s->port.shm.nonce;
        s->counters = (EPFNTBCounters) { 0 };
    }
}

void epf_ntb_regs_publish(EPFNTBState *s)
{
    EPFNTBShmArea *area = epf_ntb_area(s->port.own);
    PCIDevice *pdev = PCI_DEVICE(s);

    start_counting(s);
    ntb_shm_show(&area->command, s->command);
    ntb_shm_show(&area->argument, epf_ntb_page_get(s, A_EPF_ARGUMENT));
    ntb_shm_show(&area->status, epf_ntb_page_get(s, A_EPF_CMD_STATUS));
    ntb_shm_show(&area->vectors, s->vectors);
    ntb_shm_show(&area->link_enabled, s->link_enabled);
    ntb_shm_show(&area->pending, s->pending);
    ntb_shm_show(&area->spad_count, s->spads);
    ntb_shm_show(&area->lower_addr, epf_ntb_page_get(s, A_EPF_LOWER_ADDR));
    ntb_shm_show(&area->upper_addr, epf_ntb_page_get(s, A_EPF_UPPER_ADDR));
    ntb_shm_show(&area->lower_size, epf_ntb_page_get(s, A_EPF_LOWER_SIZE));
    ntb_shm_show(&area->upper_size, epf_ntb_page_get(s, A_EPF_UPPER_SIZE));
    ntb_shm_show(&area->msix_ctl,
                 pci_get_word(pdev->config + EPF_NTB_MSIX_CAP +
                              PCI_MSIX_FLAGS));
    ntb_shm_show(&area->msix_masked, epf_ntb_irq_masked(s));
    ntb_shm_show(&area->msix_pending, epf_ntb_irq_waiting(s));
}
