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
#include <glib/gstdio.h>
#include "contrib/ivshmem-server/ivshmem-server.h"
#include "libqtest.h"

#define SHM_SIZE        (64 * 1024)
#define RAM_SIZE        "64M"
#define DEADLINE        (10 * G_TIME_SPAN_SECOND)
#define ALL_ONES        0xffffffffu

/* The guest's address map, as firmware could have made it */
#define ECAM            0xb0000000u
#define CONFIG          (ECAM + (1 << 15))      /* slot 1 */
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

typedef struct Fixture {
    char *dir, *shm, *socket;
    IvshmemServer server;
    int pipe[2];
    GThread *thread;
    QTestState *port[2];
} Fixture;

static gpointer serve(gpointer data)
{
    Fixture *f = data;

    for (;;) {
        fd_set fds;
        int maxfd = f->pipe[0] + 1;

        FD_ZERO(&fds);
        FD_SET(f->pipe[0], &fds);
        ivshmem_server_get_fds(&f->server, &fds, &maxfd);
        if (select(maxfd, &fds, NULL, NULL, NULL) < 0) {
            g_assert_cmpint(errno, ==, EINTR);
            continue;
        }
        if (FD_ISSET(f->pipe[0], &fds)) {
            return NULL;
        }
        if (ivshmem_server_handle_fds(&f->server, &fds, maxfd) < 0) {
            g_test_message("the server has closed a connection");
        }
    }
}

static void start_server(Fixture *f)
{
    g_autoptr(GError) err = NULL;

    f->dir = g_dir_make_tmp("idt-ntb-test.XXXXXX", &err);
    g_assert_no_error(err);
    f->socket = g_strdup_printf("%s/server", f->dir);
    f->shm = g_strdup_printf("idt-ntb-test-%d", getpid());
    g_assert_cmpint(ivshmem_server_init(&f->server, f->socket, f->shm, true,
                                        SHM_SIZE, 1, g_test_verbose()), ==, 0);
    g_assert_cmpint(ivshmem_server_start(&f->server), ==, 0);
    g_assert_cmpint(pipe(f->pipe), ==, 0);
    f->thread = g_thread_new("ivshmem-server", serve, f);
}

static void stop_server(Fixture *f)
{
    g_assert_cmpint(write(f->pipe[1], "q", 1), ==, 1);
    g_thread_join(f->thread);
    ivshmem_server_close(&f->server);
    close(f->pipe[0]);
    close(f->pipe[1]);
    for (int i = 1; i <= 2; i++) {
        g_autofree char *ram = g_strdup_printf("%s/ram%d", f->dir, i);

        g_unlink(ram);
    }
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->shm);
    g_free(f->socket);
}

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

static QTestState *start_port(Fixture *f, unsigned number)
{
    QTestState *s = qtest_initf(
        "-M q35,memory-backend=ram -m " RAM_SIZE " -nodefaults "
        "-object memory-backend-file,id=ram,size=" RAM_SIZE ",share=on,"
        "mem-path=%s/ram%u "
        "-chardev socket,id=ntb,path=%s "
        "-device idt-ntb-ivshmem,addr=1,chardev=ntb,number=%u,"
        "mem-path=%s/ram%%d",
        f->dir, number + 1, f->socket, number, f->dir);

    qtest_outl(s, 0xcf8, 0x80000060);           /* PCIEXBAR */
    qtest_outl(s, 0xcfc, ECAM | 1);
    qtest_writel(s, CONFIG + 0x10, BAR0);
    qtest_writel(s, CONFIG + 0x18, BAR2);
    qtest_writel(s, CONFIG + 0x1c, 0);
    qtest_writew(s, CONFIG + 0x04, 0x6);        /* memory, bus master */
    return s;
}

/* Wait until @addr of the global space reads @val under @mask */
static void wait_gasa(QTestState *s, uint32_t addr, uint32_t mask, uint32_t val)
{
    gint64 end = g_get_monotonic_time() + DEADLINE;

    while ((gasa_rd(s, addr) & mask) != val) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
}

static void wait_reg(QTestState *s, unsigned reg, uint32_t mask, uint32_t val)
{
    gint64 end = g_get_monotonic_time() + DEADLINE;

    while ((rd(s, reg) & mask) != val) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
}

/* What idt_ntb_local_link_enable() does */
static void link_enable(QTestState *s, unsigned part)
{
    wr(s, NTCTL, CPEN);
    wr(s, NTMTBLADDR, part);
    wr(s, NTMTBLDATA, 1 | part << 17);
    wr(s, NTGSIGNAL, 1);
}

static void setup(Fixture *f, gconstpointer data)
{
    start_server(f);
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

static void teardown(Fixture *f, gconstpointer data)
{
    qtest_quit(f->port[0]);
    qtest_quit(f->port[1]);
    stop_server(f);
}

static void test_identity(Fixture *f, gconstpointer data)
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

static void test_doorbell(Fixture *f, gconstpointer data)
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

static void test_message(Fixture *f, gconstpointer data)
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

static void test_window(Fixture *f, gconstpointer data)
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

static void test_peer_leaves(Fixture *f, gconstpointer data)
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
    g_test_add("/" name, Fixture, NULL, setup, func, teardown)
    ADD("idt-ntb/identity", test_identity);
    ADD("idt-ntb/doorbell", test_doorbell);
    ADD("idt-ntb/message", test_message);
    ADD("idt-ntb/window", test_window);
    ADD("idt-ntb/peer-leaves", test_peer_leaves);
    return g_test_run();
}
