/*
 * Two guests for the tests of NTB ports, and the switch that joins them
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_NTB_SWITCH_H
#define TESTS_QTEST_NTB_SWITCH_H

#include <glib/gstdio.h>
#include "contrib/ivshmem-server/ivshmem-server.h"
#include "libqtest.h"

#define NTB_SHM_SIZE    (64 * 1024)
#define NTB_RAM_SIZE    "64M"
#define NTB_DEADLINE    (10 * G_TIME_SPAN_SECOND)

/* The guest's address map, as firmware could have made it */
#define NTB_ECAM        0xb0000000u
#define NTB_CONFIG      (NTB_ECAM + (1 << 15))  /* slot 1 */

typedef struct NTBSwitch {
    char *dir, *shm, *socket;
    IvshmemServer server;
    int pipe[2];
    GThread *thread;
    QTestState *port[2];
} NTBSwitch;

static inline gpointer ntb_switch_serve(gpointer data)
{
    NTBSwitch *f = data;

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

static inline void ntb_switch_start(NTBSwitch *f)
{
    g_autoptr(GError) err = NULL;

    f->dir = g_dir_make_tmp("ntb-test.XXXXXX", &err);
    g_assert_no_error(err);
    f->socket = g_strdup_printf("%s/server", f->dir);
    f->shm = g_strdup_printf("ntb-test-%d", getpid());
    g_assert_cmpint(ivshmem_server_init(&f->server, f->socket, f->shm, true,
                                        NTB_SHM_SIZE, 1, g_test_verbose()),
                    ==, 0);
    g_assert_cmpint(ivshmem_server_start(&f->server), ==, 0);
    g_assert_cmpint(pipe(f->pipe), ==, 0);
    f->thread = g_thread_new("ivshmem-server", ntb_switch_serve, f);
}

static inline void ntb_switch_stop(NTBSwitch *f)
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

/* A guest with the port @number; its BARs wait for addresses */
static inline QTestState *ntb_switch_guest(NTBSwitch *f, const char *device,
                                           unsigned number)
{
    QTestState *s = qtest_initf(
        "-M q35,memory-backend=ram -m " NTB_RAM_SIZE " -nodefaults "
        "-object memory-backend-file,id=ram,size=" NTB_RAM_SIZE ",share=on,"
        "mem-path=%s/ram%u "
        "-chardev socket,id=ntb,path=%s "
        "-device %s,addr=1,chardev=ntb,number=%u,mem-path=%s/ram%%d",
        f->dir, number + 1, f->socket, device, number, f->dir);

    qtest_outl(s, 0xcf8, 0x80000060);           /* PCIEXBAR */
    qtest_outl(s, 0xcfc, NTB_ECAM | 1);
    return s;
}

/* Wait until @read of @addr gives @val under @mask */
#define NTB_WAIT(read, s, addr, mask, val) do {                         \
        gint64 end = g_get_monotonic_time() + NTB_DEADLINE;             \
                                                                        \
        while ((read(s, addr) & (mask)) != (val)) {                     \
            g_assert_cmpint(g_get_monotonic_time(), <, end);            \
            g_usleep(100);                                              \
        }                                                               \
    } while (0)

#endif /* TESTS_QTEST_NTB_SWITCH_H */
