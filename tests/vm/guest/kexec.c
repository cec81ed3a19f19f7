/* SPDX-License-Identifier: MIT */
/*
 * kexec KERNEL INITRD CMDLINE: hands the machine over to another kernel, a moment after it has
 * ended, so that whoever called it by ssh gets an answer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(const char *kernel, const char *initrd, const char *cmdline)
{
    int files[] = { open(kernel, O_RDONLY), open(initrd, O_RDONLY) };

    if (files[0] < 0 || files[1] < 0) {
        return -1;
    }
    return syscall(SYS_kexec_file_load, files[0], files[1], strlen(cmdline) + 1, cmdline, 0UL);
}

int main(int argc, char **argv)
{
    if (argc != 4 || load(argv[1], argv[2], argv[3]) < 0) {
        perror("kexec");
        return 1;
    }
    if (fork() == 0) {
        setsid();
        for (int fd = 0; fd < 3; fd++) {
            close(fd);
        }
        usleep(300000);
        syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    }
    return 0;
}
