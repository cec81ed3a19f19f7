# SPDX-License-Identifier: MIT
"""What run.json says of a guest."""

from __future__ import annotations

import os

from ntbdbg.lab.manifest import GuestRecord, KernelRecord, RamRecord
from run.vm import memmap
from run.vm.argv import Build, kernel_command_line
from run.vm.machine import Machine
from run.vm.options import LaunchOptions


def guest_record(
    machine: Machine, options: LaunchOptions, build: Build, file: os.stat_result
) -> GuestRecord:
    """A guest that is about to start; the memory map is the default machine's for now.

    :param file: its RAM file
    """
    plan, paths = machine.plan, machine.plan.paths
    image = build.image_of(plan)
    return GuestRecord(
        name=plan.name,
        index=plan.index,
        port=plan.port,
        ram=RamRecord(
            path=str(plan.ram),
            device=file.st_dev,
            inode=file.st_ino,
            size=file.st_size,
            segments=memmap.rule("q35", file.st_size),
        ),
        qmp=str(paths.qmp(plan.name)),
        qmp_launcher=str(paths.qmp_launcher(plan.name)),
        console_log=str(paths.console_log(plan.name)),
        log=str(paths.log(plan.name)),
        ssh_port=plan.ssh_port,
        console_port=plan.console_port,
        accelerator=build.accelerator,
        kernel=KernelRecord(
            release=image.release,
            image=image.kernel,
            initramfs=image.initramfs or None,
            cmdline=kernel_command_line(options, plan, build),
            vmlinux=image.vmlinux or None,
            modules=image.modules or None,
        ),
        argv=machine.argv,
    )
