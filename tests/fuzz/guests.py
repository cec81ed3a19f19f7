# SPDX-License-Identifier: MIT
"""A lab with a bit of everything in its guests, whose RAM may be damaged."""

from __future__ import annotations

from pathlib import Path

from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.fakentb import FakeIdt, idt_switch
from tests.support.fakepages import FakePages
from tests.support.fakeresources import FakeResources
from tests.support.fakestack import FakeStacks
from tests.support.linuxlab import LinuxLab


def make_lab(root: Path) -> LinuxLab:
    """Two linked guests that do not run any more."""
    return LinuxLab(root, furnish=everything, page=idt_switch().build(), live=False)


def everything(name: str, guest: FakeGuest) -> None:
    """A kernel with modules, tasks on stacks, devices, an NTB with its driver and a client."""
    made = furnish(name, guest, driver=False)
    FakePages(guest).slab(8 << 20, b"kmalloc-64")
    resources = FakeResources(guest)
    whole = resources.add(1 << 20, 16 << 20, "System RAM")
    resources.add(2 << 20, 4 << 20, "Kernel code", inside=whole)
    part = int(name[-1]) - 1
    idt = FakeIdt(guest, made.pci, port=2 * part, part=part, peers=[(2 - 2 * part, 1 - part)])
    if part == 0:
        idt.tool([(0, 0x20_0000, 0x10000)])
    else:
        idt.perf(outbuf_size=0x10000)
    server = made.tasks.add(200, "server")
    threads = [made.tasks.thread(server, pid, f"worker-{pid}") for pid in range(201, 206)]
    stacks = FakeStacks(guest)
    work, end = stacks.function("do_work", sp=16), stacks.function("kthread", kind="end")
    for task in (server, *threads):
        stacks.block(task, [work + 9, 0, end + 9])
    stacks.finish()
