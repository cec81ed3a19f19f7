/*
 * IDT NTB port: what is programmed for memory windows
 *
 * 89HPES24NT6AG2 BARSETUPn, BARLIMITn, BARLTBASEn, BARUTBASEn. A BAR is one
 * direct window, or as many as its lookup table has entries. Opening them is
 * the core's work.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "idt-ntb-mw.h"
#include "ntb-window.h"

#define BAR_SIZE_MIN    (16 * KiB)
#define BAR_SIZE_MAX    (1 * GiB)       /* the driver computes it in an int */

typedef struct Mode {
    const char *name;
    unsigned atran;             /* BARSETUP.ATRAN */
    unsigned entries;           /* of the lookup table; 0: one direct window */
    unsigned slots;             /* the BAR is divided into so many */
} Mode;

static const Mode modes[] = {
    { "direct", BARSETUP_ATRAN_DIRECT, 0, 1 },
    { "lut12", BARSETUP_ATRAN_LUT12, 12, 16 },
    { "lut24", BARSETUP_ATRAN_LUT24, 24, 32 },
};

/*
 * Setting up
 */

static const Mode *find_mode(const char *name)
{
    for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
        if (!strcmp(name, modes[m].name)) {
            return &modes[m];
        }
    }
    return NULL;
}

static uint32_t barsetup(const Mode *mode, uint64_t size)
{
    uint32_t setup = R_BARSETUP0_EN_MASK | R_BARSETUP0_PREF_MASK;

    setup = FIELD_DP32(setup, BARSETUP0, TYPE, BARSETUP_TYPE_64);
    setup = FIELD_DP32(setup, BARSETUP0, ATRAN, mode->atran);
    return FIELD_DP32(setup, BARSETUP0, SIZE, ctz64(size));
}

static bool setup_bar(IDTNTBState *s, unsigned i, Error **errp)
{
    const Mode *mode = find_mode(s->bar_mode[i]);
    uint64_t size = s->bar_size[i];
    unsigned num = 2 + 2 * i, n;

    s->lut_entries[i] = 0;
    if (!strcmp(s->bar_mode[i], "off")) {
        return true;
    }
    if (!mode) {
        error_setg(errp, "bar%u-mode=%s is not known: it is direct, lut12, "
                   "lut24 or off", num, s->bar_mode[i]);
        return false;
    }
    if (!is_power_of_2(size) || size < BAR_SIZE_MIN || size > BAR_SIZE_MAX) {
        error_setg(errp, "bar%u-size must be a power of two from 16K to 1G",
                   num);
        return false;
    }
    n = MAX(mode->entries, 1);
    if (s->port.nwindows + n > IDT_NTB_MAX_WINDOWS) {
        error_setg(errp, "bar2-mode and bar4-mode make %u windows, but the "
                   "driver takes %d at most", s->port.nwindows + n,
                   IDT_NTB_MAX_WINDOWS);
        return false;
    }
    ntb_window_add_bar(&s->port, num, size, mode->slots, n);
    s->lut_entries[i] = mode->entries;
    s->port.cfg.barsetup[num] = barsetup(mode, size);
    return true;
}

bool idt_ntb_mw_setup(IDTNTBState *s, Error **errp)
{
    uint32_t setup = R_BARSETUP0_EN_MASK | R_BARSETUP0_MODE_CFG_MASK;

    s->port.cfg.barsetup[0] = FIELD_DP32(setup, BARSETUP0, SIZE,
                                         ctz32(IDT_NTB_CFG_SIZE));
    for (unsigned i = 0; i < IDT_NTB_WINDOW_BARS; i++) {
        if (!setup_bar(s, i, errp)) {
            return false;
        }
    }
    return true;
}

void idt_ntb_mw_register(IDTNTBState *s)
{
    ntb_window_init(&s->port);
    for (unsigned i = 0; i < s->port.nbars; i++) {
        NTBWindowBar *bar = &s->port.wbar[i];

        pci_register_bar(PCI_DEVICE(s), bar->num,
                         PCI_BASE_ADDRESS_SPACE_MEMORY |
                         PCI_BASE_ADDRESS_MEM_TYPE_64 |
                         PCI_BASE_ADDRESS_MEM_PREFETCH, &bar->mr);
    }
}

/*
 * What is programmed
 */

/* The lookup table that makes windows of @bar: of BAR2 or BAR4 */
static unsigned table_of(const NTBWindowBar *bar)
{
    return bar->num / 2 - 1;
}

static bool is_direct(const IDTNTBState *s, const NTBWindowBar *bar)
{
    return !s->lut_entries[table_of(bar)];
}

/*
 * Bytes from the start of the BAR that are translated. The limit is a bus
 * address, exclusive; the part compares at 1 KiB, and drivers are known that
 * write the last byte instead.
 */
static uint64_t direct_extent(IDTNTBState *s, const NTBWindowBar *bar)
{
    pcibus_t base = pci_get_bar_addr(PCI_DEVICE(s), bar->num);
    uint64_t limit = (uint64_t)s->bar[bar->num + 1].limit << 32 |
                     s->bar[bar->num].limit;

    if (base == PCI_BAR_UNMAPPED) {
        return 0;
    }
    if (limit > UINT64_MAX - BARLIMIT_GRANULE) {
        return bar->size;
    }
    limit = ROUND_UP(limit, BARLIMIT_GRANULE);
    return limit <= base ? 0 : MIN(limit - base, bar->size);
}

static NTBTranslation programmed(IDTNTBState *s, const NTBWindow *w)
{
    const NTBWindowBar *bar = w->bar;
    const IDTNTBBarRegs *regs = &s->bar[bar->num];
    const IDTNTBShmLut *lut = &s->lut[table_of(bar)][w->entry];

    if (is_direct(s, bar)) {
        return (NTBTranslation) {
            .part = FIELD_EX32(regs->setup, BARSETUP0, TPART),
            .addr = (uint64_t)regs->utbase << 32 | regs->ltbase,
            .extent = direct_extent(s, bar),
        };
    }
    return (NTBTranslation) {
        .part = FIELD_EX32(lut->upper, LUTUDATA, PART),
        .addr = (uint64_t)lut->high << 32 | lut->low,
        .extent = FIELD_EX32(lut->upper, LUTUDATA, VALID) ? bar->aperture : 0,
    };
}

/*
 * x-mirror-mw: a window that nobody translated shows what the one of the same
 * size shows that was translated last.
 */
static NTBTranslation mirrored(IDTNTBState *s, unsigned window)
{
    const NTBWindow *win = s->port.win;
    NTBTranslation latest = { 0 };
    uint64_t stamp = 0;

    for (unsigned i = 0; i < s->port.nwindows; i++) {
        if (i != window && s->programmed[i] > stamp &&
            win[i].bar->aperture == win[window].bar->aperture) {
            NTBTranslation t = programmed(s, &win[i]);

            if (t.extent) {
                stamp = s->programmed[i];
                latest = t;
            }
        }
    }
    return latest;
}

NTBTranslation idt_ntb_mw_translation(NTBPort *port, unsigned window)
{
    IDTNTBState *s = idt_ntb_of(port);
    NTBTranslation t = programmed(s, &port->win[window]);

    return !t.extent && s->mirror_mw ? mirrored(s, window) : t;
}

void idt_ntb_mw_entry_programmed(IDTNTBState *s, unsigned table,
                                 unsigned entry)
{
    for (unsigned i = 0; i < s->port.nwindows; i++) {
        const NTBWindow *w = &s->port.win[i];

        if (table_of(w->bar) == table && w->entry == entry) {
            s->programmed[i] = ++s->mw_stamp;
            ntb_window_record(&s->port, i);
        }
    }
    ntb_window_update(&s->port);
}

void idt_ntb_mw_bar_programmed(IDTNTBState *s, unsigned num)
{
    for (unsigned i = 0; i < s->port.nbars; i++) {
        const NTBWindowBar *bar = &s->port.wbar[i];

        /* The next BAR's registers hold the high half of a limit */
        if (is_direct(s, bar) && (bar->num == num || bar->num + 1 == num)) {
            s->programmed[bar->first] = ++s->mw_stamp;
            ntb_window_record(&s->port, bar->first);
        }
    }
    ntb_window_update(&s->port);
}

/* Can this port send memory requests into the switch? */
bool idt_ntb_mw_may_send(NTBPort *port)
{
    const IDTNTBState *s = idt_ntb_of(port);

    return (idt_ntb_pcicmd(s) & PCI_COMMAND_MASTER) &&
           (s->ntctl & R_NTCTL_CPEN_MASK) &&
           ((s->mtbl & R_NTMTBLDATA_VALID_MASK) ||
            (s->ntctl & R_NTCTL_IDPROTDIS_MASK));
}
