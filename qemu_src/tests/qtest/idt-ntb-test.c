/*
 * QTest testcase for the IDT NTB port
 *
 * Two guests, each with one port of the same switch.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-switch.h"

#define ALL_ONES        0xffffffffu

/* The guest's address map, as firmware could have made it */
#define CONFIG          NTB_CONFIG
#define BAR0            0xfe000000u
#define BAR2            0xe0000000u
#define WINDOW_SIZE     (2 * 1024 * 1024)
#define BUFFER          0x1000000u

#define NTCTL           0x400
#define   CPEN            0x2
#define NTINTSTS        0x404
#define NTGSIGNAL       0x410
#define OUTDBELLSET     0x420
#define INDBELLSTS      0x428
#define OUTMSG0         0x430
#define INMSG0          0x440
#define INMSGSRC0       0x450
#define MSGSTS          0x460
#define BARSETUP0       0x470
#define BARSETUP2       0x490
#define BARLIMIT2       0x494
#define BARLTBASE2      0x498
#define BARUTBASE2      0x49c
#define BARLIMIT3       0x4a4
#define NTMTBLADDR      0x4d0
#define NTMTBLDATA      0x4d8
#define GASAADDR        0xff8
#define GASADATA        0xffc
#define SWPORTSTS(port) (0x3e204 + 0x20 * (port))
#define SWPMSGCTL(part) (0x3ee00 + 4 * (part))

static uint32_t rd(QTestState *s, unsigned reg)
{
    return qtest_readl(s, BAR0 + reg);
}

static void wr(QTestState *s, unsigned reg, uint32_t val)
{
    qtest_writel(s, BAR0 + reg, val);
}

static uint32_t gasa_rd(QTestState *s, uint32_t addr)
{
    wr(s, GASAADDR, addr);
    return rd(s, GASADATA);
}

static void gasa_wr(QTestState *s, uint32_t addr, uint32_t val)
{
    wr(s, GASAADDR, addr);
    wr(s, GASADATA, val);
}

static QTestState *start_port(NTBSwitch *f, unsigned number)
{
    QTestState *s = ntb_switch_guest(f, "idt-ntb-ivshmem", number);

    qtest_writel(s, CONFIG + 0x10, BAR0);
    qtest_writel(s, CONFIG + 0x18, BAR2);
    qtest_writel(s, CONFIG + 0x1c, 0);
    qtest_writew(s, CONFIG + 0x04, 0x6);        /* memory, bus master */
    return s;
}

/* Wait until @addr of the global space reads @val under @mask */
static void wait_gasa(QTestState *s, uint32_t addr, uint32_t mask, uint32_t val)
{
    NTB_WAIT(gasa_rd, s, addr, mask, val);
}

static void wait_reg(QTestState *s, unsigned reg, uint32_t mask, uint32_t val)
{
    NTB_WAIT(rd, s, reg, mask, val);
}

/* What idt_ntb_local_link_enable() does */
static void link_enable(QTestState *s, unsigned part)
{
    wr(s, NTCTL, CPEN);
    wr(s, NTMTBLADDR, part);
    wr(s, NTMTBLDATA, 1 | part << 17);
    wr(s, NTGSIGNAL, 1);
}

static void setup(NTBSwitch *f, gconstpointer data)
{
    ntb_switch_start(f);
    f->port[0] = start_port(f, 0);
    f->port[1] = start_port(f, 1);
    wait_gasa(f->port[0], SWPORTSTS(2), 0x10, 0x10);
    wait_gasa(f->port[1], SWPORTSTS(0), 0x10, 0x10);
    link_enable(f->port[0], 0);
    link_enable(f->port[1], 1);
    for (unsigned i = 0; i < 2; i++) {
        wr(f->port[i], NTMTBLADDR, 1 - i);
        wait_reg(f->port[i], NTMTBLDATA, 1, 1);
    }
}

static void teardown(NTBSwitch *f, gconstpointer data)
{
    qtest_quit(f->port[0]);
    qtest_quit(f->port[1]);
    ntb_switch_stop(f);
}

static void test_identity(NTBSwitch *f, gconstpointer data)
{
    QTestState *s = f->port[0];

    g_assert_cmphex(qtest_readl(s, CONFIG), ==, 0x8091111d);
    g_assert_cmphex(qtest_readl(s, CONFIG + 0x08) >> 8, ==, 0x068000);
    g_assert_cmphex(qtest_readl(s, CONFIG + BARSETUP0), ==, 0x800004c0);
    g_assert_cmphex(rd(s, BARSETUP0), ==, 0x800004c0);
    g_assert_cmphex(rd(s, BARSETUP2), ==, 0x8000015c);
    g_assert_cmphex(gasa_rd(s, SWPORTSTS(0)), ==, 0x0d0);
    g_assert_cmphex(gasa_rd(s, SWPORTSTS(2)), ==, 0x4d0);
    g_assert_cmphex(gasa_rd(s, SWPORTSTS(4)), ==, 0);
}

static void test_doorbell(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    wr(a, OUTDBELLSET, 0x1);
    wr(a, OUTDBELLSET, 0x80000000);
    wait_reg(b, INDBELLSTS, ALL_ONES, 0x80000001);
    g_assert_cmphex(rd(a, INDBELLSTS), ==, 0);
    g_assert_cmphex(rd(b, NTINTSTS) & 0x2, ==, 0x2);
    wr(b, INDBELLSTS, 0x1);
    g_assert_cmphex(rd(b, INDBELLSTS), ==, 0x80000000);
}

static void test_message(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    gasa_wr(a, SWPMSGCTL(0), 1 << 4 | 3);       /* register 3 of partition 1 */
    wr(a, OUTMSG0, 0xfeedface);
    g_assert_cmphex(rd(a, MSGSTS), ==, 0);
    wait_reg(b, MSGSTS, ALL_ONES, 1 << 19);
    g_assert_cmphex(rd(b, INMSG0 + 12), ==, 0xfeedface);
    g_assert_cmphex(rd(b, INMSGSRC0 + 12), ==, 0);
    /* the register is full: the sender learns of it at once */
    wr(a, OUTMSG0, 0x0);
    g_assert_cmphex(rd(a, MSGSTS), ==, 1 << 0);
    g_assert_cmphex(rd(b, INMSG0 + 12), ==, 0xfeedface);
}

static void test_window(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    g_assert_cmphex(qtest_readl(a, BAR2), ==, ALL_ONES);
    wr(a, BARSETUP2, 1 << 13);
    wr(a, BARLTBASE2, BUFFER);
    wr(a, BARUTBASE2, 0);
    wr(a, BARLIMIT2, BAR2 + WINDOW_SIZE);
    wr(a, BARLIMIT3, 0);
    qtest_writel(a, BAR2 + 0x1234, 0x12345678);
    g_assert_cmphex(qtest_readl(b, BUFFER + 0x1234), ==, 0x12345678);
    qtest_writel(b, BUFFER + WINDOW_SIZE - 4, 0xcafe);
    g_assert_cmphex(qtest_readl(a, BAR2 + WINDOW_SIZE - 4), ==, 0xcafe);

    /* the write that disables the link returns when nothing passes any more */
    wr(b, NTCTL, 0);
    qtest_writel(a, BAR2 + 0x1234, 0xbad);
    g_assert_cmphex(qtest_readl(a, BAR2 + 0x1234), ==, ALL_ONES);
    g_assert_cmphex(qtest_readl(b, BUFFER + 0x1234), ==, 0x12345678);
}

static void test_peer_leaves(NTBSwitch *f, gconstpointer data)
{
    qtest_quit(f->port[1]);
    wait_gasa(f->port[0], SWPORTSTS(2), 0x10, 0);
    f->port[1] = start_port(f, 1);
    wait_gasa(f->port[0], SWPORTSTS(2), 0x10, 0x10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) \
    g_test_add("/" name, NTBSwitch, NULL, setup, func, teardown)
    ADD("idt-ntb/identity", test_identity);
    ADD("idt-ntb/doorbell", test_doorbell);
    ADD("idt-ntb/message", test_message);
    ADD("idt-ntb/window", test_window);
    ADD("idt-ntb/peer-leaves", test_peer_leaves);
    return g_test_run();
}
