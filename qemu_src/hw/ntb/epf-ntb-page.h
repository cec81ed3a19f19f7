/*
 * EPF NTB port: what the guest reads of page 0, without a trap
 *
 * The page is a ROM device: reads run at the speed of RAM, writes are the
 * device's. So whatever a register shows is stored here as soon as it changes.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_PAGE_H
#define HW_NTB_EPF_NTB_PAGE_H

#include "qemu/bswap.h"
#include "epf-ntb-state.h"

static inline uint32_t epf_ntb_page_get(const EPFNTBState *s, uint32_t addr)
{
    return ldl_le_p(s->regs + addr);
}

static inline void epf_ntb_page_put(EPFNTBState *s, uint32_t addr, uint32_t val)
{
    stl_le_p(s->regs + addr, val);
}

static inline uint16_t epf_ntb_page_get16(const EPFNTBState *s, uint32_t addr)
{
    return lduw_le_p(s->regs + addr);
}

static inline void epf_ntb_page_put16(EPFNTBState *s, uint32_t addr,
                                      uint16_t val)
{
    stw_le_p(s->regs + addr, val);
}

/* A register of two words: its low half is at @addr */
static inline uint64_t epf_ntb_page_get64(const EPFNTBState *s, uint32_t addr)
{
    return ldq_le_p(s->regs + addr);
}

#endif /* HW_NTB_EPF_NTB_PAGE_H */
