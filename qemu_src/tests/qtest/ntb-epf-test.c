/*
 * QTest testcase for the NTB port of a PCI endpoint function
 *
 * Two guests, each with one of the two ports.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ntb-switch.h"

#define ALL_ONES        0xffffffffu

#define BAR0            0xfe000000u
#define DOORBELLS       0xfe010000u
#define WINDOW          0xe0000000u
#define WINDOW_SIZE     (2 * 1024 * 1024)
#define BUFFER          0x1000000u
#define MESSAGES        0x200000u       /* where MSI-X writes */

#define COMMAND         0x000
#define   CONFIGURE_DB    1
#define   CONFIGURE_MW    3
#define   TEARDOWN_MW     4
#define   LINK_UP         5
#define   LINK_DOWN       6
#define ARGUMENT        0x004
#define CMD_STATUS      0x008           /* 16 bits, as the next */
#define LINK_STATUS     0x00a
#define LOWER_ADDR      0x010
#define LOWER_SIZE      0x018
#define MW_COUNT        0x020
#define SPAD_OFFSET     0x028
#define SPAD_COUNT      0x02c
#define DB_DATA(n)      (0x034 + 4 * (n))
#define SPADS           0x1000
#define MSIX_TABLE      0x2000
#define MSIX_CAP        0x0d0
#define VECTORS         8

static uint32_t rd(QTestState *s, unsigned reg)
{
    return qtest_readl(s, BAR0 + reg);
}

static uint16_t rd16(QTestState *s, unsigned reg)
{
    return qtest_readw(s, BAR0 + reg);
}

static void wr(QTestState *s, unsigned reg, uint32_t val)
{
    qtest_writel(s, BAR0 + reg, val);
}

/* What ntb_epf_send_command() does; the status is the result */
static unsigned command(QTestState *s, uint32_t cmd, uint32_t argument)
{
    gint64 end = g_get_monotonic_time() + NTB_DEADLINE;
    unsigned status;

    wr(s, ARGUMENT, argument);
    wr(s, COMMAND, cmd);
    while (!(status = rd16(s, CMD_STATUS))) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(10);
    }
    qtest_writew(s, BAR0 + CMD_STATUS, 0);
    return status;
}

static void enable_msix(QTestState *s)
{
    for (unsigned n = 0; n < VECTORS; n++) {
        wr(s, MSIX_TABLE + 16 * n, MESSAGES + 4 * n);
        wr(s, MSIX_TABLE + 16 * n + 4, 0);
        wr(s, MSIX_TABLE + 16 * n + 8, 1 + n);
        wr(s, MSIX_TABLE + 16 * n + 12, 0);
    }
    qtest_writew(s, NTB_CONFIG + MSIX_CAP + 2, 0x8000);
    g_assert_cmpint(command(s, CONFIGURE_DB, 1 << 16 | VECTORS), ==, 1);
}

static QTestState *start_port(NTBSwitch *f, unsigned number)
{
    QTestState *s = ntb_switch_guest(f, "ntb-epf-ivshmem", number);

    qtest_writel(s, NTB_CONFIG + 0x10, BAR0);
    qtest_writel(s, NTB_CONFIG + 0x18, DOORBELLS);
    qtest_writel(s, NTB_CONFIG + 0x20, WINDOW);
    qtest_writel(s, NTB_CONFIG + 0x24, WINDOW + 0x1000000);
    qtest_writew(s, NTB_CONFIG + 0x04, 0x6);    /* memory, bus master */
    enable_msix(s);
    return s;
}

static uint32_t link_of(QTestState *s, unsigned unused)
{
    return rd16(s, LINK_STATUS);
}

static void setup(NTBSwitch *f, gconstpointer data)
{
    ntb_switch_start(f);
    for (unsigned i = 0; i < 2; i++) {
        f->port[i] = start_port(f, i);
        g_assert_cmpint(command(f->port[i], LINK_UP, 0), ==, 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        NTB_WAIT(link_of, f->port[i], 0, 1, 1);
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

    g_assert_cmphex(qtest_readl(s, NTB_CONFIG), ==, 0x08091957);
    g_assert_cmphex(qtest_readl(s, NTB_CONFIG + 0x08) >> 16, ==, 0x0500);
    g_assert_cmpint(rd(s, MW_COUNT), ==, 2);
    g_assert_cmphex(rd(s, SPAD_OFFSET), ==, SPADS);
    g_assert_cmpint(rd(s, SPAD_COUNT), ==, 32);
    g_assert_cmphex(rd(s, DB_DATA(31)), ==, 0x80000000);
}

static void test_scratchpad(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    wr(a, SPADS + 4 * (32 + 5), 0xfeedface);            /* the peer's */
    g_assert_cmphex(rd(b, SPADS + 4 * 5), ==, 0xfeedface);
    wr(b, SPADS + 4 * 5, 0xcafe);
    g_assert_cmphex(rd(a, SPADS + 4 * (32 + 5)), ==, 0xcafe);
}

static void test_doorbell(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    qtest_writel(a, DOORBELLS + 4 * 1, 2);              /* must never come */
    qtest_writel(a, DOORBELLS + 4 * 3, 8);
    NTB_WAIT(qtest_readl, b, MESSAGES + 4 * 3, ALL_ONES, 1 + 3);
    g_assert_cmpint(qtest_readl(b, MESSAGES + 4 * 1), ==, 0);
    g_assert_cmpint(qtest_readl(a, MESSAGES + 4 * 3), ==, 0);
}

static void set_window(QTestState *s, uint32_t addr, uint32_t size,
                       unsigned status)
{
    wr(s, LOWER_ADDR, addr);
    wr(s, LOWER_ADDR + 4, 0);
    wr(s, LOWER_SIZE, size);
    wr(s, LOWER_SIZE + 4, 0);
    g_assert_cmpint(command(s, CONFIGURE_MW, 0), ==, status);
}

static void test_window(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    g_assert_cmphex(qtest_readl(a, WINDOW), ==, ALL_ONES);
    set_window(b, BUFFER, WINDOW_SIZE, 1);
    qtest_writel(a, WINDOW + 0x1234, 0x12345678);
    g_assert_cmphex(qtest_readl(b, BUFFER + 0x1234), ==, 0x12345678);
    qtest_writel(b, BUFFER + WINDOW_SIZE - 4, 0xcafe);
    g_assert_cmphex(qtest_readl(a, WINDOW + WINDOW_SIZE - 4), ==, 0xcafe);

    /* the command is answered when nothing passes any more */
    g_assert_cmpint(command(b, TEARDOWN_MW, 0), ==, 1);
    qtest_writel(a, WINDOW + 0x1234, 0xbad);
    g_assert_cmphex(qtest_readl(a, WINDOW + 0x1234), ==, ALL_ONES);
    g_assert_cmphex(qtest_readl(b, BUFFER + 0x1234), ==, 0x12345678);
    set_window(b, BUFFER + 4, WINDOW_SIZE, 2);
    set_window(b, BUFFER, WINDOW_SIZE + 1, 2);
}

static void test_link(NTBSwitch *f, gconstpointer data)
{
    QTestState *a = f->port[0], *b = f->port[1];

    qtest_writel(a, MESSAGES, 0);
    qtest_writel(b, MESSAGES, 0);
    g_assert_cmpint(command(b, LINK_DOWN, 0), ==, 1);
    g_assert_cmpint(link_of(b, 0), ==, 0);
    NTB_WAIT(link_of, a, 0, 1, 0);
    NTB_WAIT(qtest_readl, a, MESSAGES, ALL_ONES, 1);
    g_assert_cmpint(qtest_readl(b, MESSAGES), ==, 0);
}

static void test_peer_leaves(NTBSwitch *f, gconstpointer data)
{
    qtest_quit(f->port[1]);
    NTB_WAIT(link_of, f->port[0], 0, 1, 0);
    f->port[1] = start_port(f, 1);
    g_assert_cmpint(command(f->port[1], LINK_UP, 0), ==, 1);
    NTB_WAIT(link_of, f->port[0], 0, 1, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) \
    g_test_add("/" name, NTBSwitch, NULL, setup, func, teardown)
    ADD("ntb-epf/identity", test_identity);
    ADD("ntb-epf/scratchpad", test_scratchpad);
    ADD("ntb-epf/doorbell", test_doorbell);
    ADD("ntb-epf/window", test_window);
    ADD("ntb-epf/link", test_link);
    ADD("ntb-epf/peer-leaves", test_peer_leaves);
    return g_test_run();
}
