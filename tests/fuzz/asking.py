# SPDX-License-Identifier: MIT
"""All that `ntbdbg.kernel` tells of a guest, asked by the library, each question by itself."""

from __future__ import annotations

from collections.abc import Callable

import drgn

from ntbdbg.budget import Budget
from ntbdbg.errors import NtbdbgError
from ntbdbg.kernel.asked.naming import Naming
from ntbdbg.kernel.boot.locate import scan
from ntbdbg.kernel.debugfile.isf import isf
from ntbdbg.kernel.debugfile.vmlinux import VmlinuxMaker
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.ring import PrintkRing
from ntbdbg.kernel.mmu.mapped import MappedRange
from ntbdbg.kernel.tasks.pages import PageMap
from ntbdbg.kernel.tasks.pcidevices import pci_devices
from ntbdbg.kernel.tasks.ramlist import beyond
from ntbdbg.kernel.tasks.system import system_info
from ntbdbg.kernel.tasks.tasks import TaskWalker
from ntbdbg.memory.base import PhysicalMemory
from ntbdbg.memory.segments import AddressRange

PATHS = ("init_uts_ns.name.nodename", "init_task.comm", "init_task.tasks.next", "modules.next")


def ask_everything(memory: PhysicalMemory) -> int:
    """Gives the number of questions that were answered."""
    kernel = Kernel.open(memory, cache=False, budget=Budget())
    questions: list[Callable[[], object]] = [
        lambda: scan(memory),
        lambda: len(kernel.table),
        lambda: [kernel.symbolize(kernel.table[i].address + 1) for i in range(64)],
        lambda: [kernel.percpu(0x100, cpu) for cpu in kernel.cpus()],
        lambda: kernel.modules(),
        lambda: [list(kernel.module_symbols(module)) for module in kernel.modules()],
        lambda: [kernel.symbolize(module.base + 0x40) for module in kernel.modules()],
        lambda: [kernel.module_btf(module.name) for module in kernel.modules()],
        lambda: [kernel.module_build_id(module) for module in kernel.modules()],
        lambda: [kernel.symbol(name) for name in ("init_task", "idt_isr", "nothing_at_all")],
        lambda: [str(kernel.type(name)) for name in ("struct task_struct", "struct module")],
        lambda: kernel.prog.symbol(kernel.table[-1].address),
        lambda: PrintkRing(kernel.virtual, kernel.info).read(),
        lambda: TaskWalker(kernel).walk(),
        lambda: pci_devices(kernel),
        lambda: VmlinuxMaker(kernel).make(),
        lambda: isf(kernel.btf, kernel.table, Budget(), shift=0, banner=b"", producer={}),
        lambda: system_info(kernel),
        lambda: beyond(kernel),
        lambda: name_pages(kernel),
        lambda: MappedRange(kernel.tables, AddressRange(kernel.symbol("_stext").address, 1 << 64)),
        lambda: MappedRange(kernel.tables, AddressRange(0xFF11_0000_0000_0000, 1 << 64)),
        *(lambda path=path: kernel.object(path).read_() for path in PATHS),  # type: ignore[misc]
        *(lambda va=va: kernel.virtual.read(va, 1 << 20) for va in _some_addresses(kernel)),  # type: ignore[misc]
    ]
    return sum(_answered(question) for question in questions)


def name_pages(kernel: Kernel) -> None:
    """As ``--annotate`` does, for a page here and there."""
    naming, pages = Naming(kernel), PageMap(kernel)
    for address in range(0, 16 << 20, 0x7F000):
        virtual = naming.virtual(address)
        if virtual is not None:
            naming.name(virtual)
        pages.owner(address)


def _some_addresses(kernel: Kernel) -> list[int]:
    named = (kernel.info.symbol(name) for name in ("init_uts_ns", "swapper_pg_dir"))
    return [va for va in named if va] + [0, 0xFF11_0000_0000_0000, 0xFFFF_8880_0000_0000]


def _answered(question: Callable[[], object]) -> bool:
    try:
        question()
    except (NtbdbgError, drgn.FaultError, LookupError):
        return False
    return True
