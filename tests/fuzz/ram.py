# SPDX-License-Identifier: MIT
"""`python3 -m tests.fuzz.ram --cases 200 [RAM]`: a kernel in damaged memory, asked everything.

Each case damages page tables, symbols, types, modules, VMCOREINFO or any page, asks for all that
`ntbdbg.kernel` tells, and mends the memory. Answers and ntbdbg's own errors are fine; any other
exception, a crash, a case that takes longer than `--limit` seconds, or more memory than
`EXTRA_BYTES` above the RAM itself, ends the process with a traceback. Without RAM, a copy of a
guest's, a fake guest is used.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import drgn

from ntbdbg.errors import NtbdbgError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.locate import scan
from ntbdbg.kernel.mapped import MappedRange
from ntbdbg.kernel.naming import Naming
from ntbdbg.kernel.pages import PageMap
from ntbdbg.kernel.pcidevices import pci_devices
from ntbdbg.kernel.printk import PrintkRing
from ntbdbg.kernel.system import system_info
from ntbdbg.kernel.tasks import TaskWalker
from ntbdbg.memory.buffer import BufferMemory
from ntbdbg.memory.layout import qemu_segments
from ntbdbg.memory.segments import AddressRange
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.fakepages import FakePages

PAGE = 4096
EXTRA_BYTES = 1536 << 20
NUMBERS = (
    0,
    1,
    0x7F,
    0xFFFF,
    1 << 31,
    (1 << 32) - 1,
    1 << 63,
    (1 << 64) - 1,
    0x0007_FFFF_FFFF_F067,
)
PATHS = ("init_uts_ns.name.nodename", "init_task.comm", "init_task.tasks.next", "modules.next")


class Victim:
    """RAM that is damaged and mended.

    :ivar places: GPAs worth aiming at, by what is there
    """

    def __init__(self, data: bytearray, machine: str) -> None:
        self.data = data
        self.memory = BufferMemory(data, list(qemu_segments(machine, len(data))), name="victim")
        self.places = aims(self.memory, data)
        self._undo: list[tuple[int, bytes]] = []

    def damage(self, chance: random.Random) -> str:
        """Change something; gives what, in words."""
        kind = chance.choice(sorted(self.places))
        words = []
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.choice(self.places[kind])
            change = chance.choice((flip, number, pointer, page))
            offset, new = change(self, chance, at)
            self._undo.append((offset, bytes(self.data[offset : offset + len(new)])))
            self.data[offset : offset + len(new)] = new
            words.append(f"{change.__name__} at {offset:#x}")
        return f"{kind}: {', '.join(words)}"

    def mend(self) -> None:
        """Make it as it was."""
        while self._undo:
            offset, old = self._undo.pop()
            self.data[offset : offset + len(old)] = old


def flip(victim: Victim, chance: random.Random, at: int) -> tuple[int, bytes]:
    return at, bytes([victim.data[at] ^ 1 << chance.randrange(8)])


def number(victim: Victim, chance: random.Random, at: int) -> tuple[int, bytes]:
    return at & ~7, struct.pack("<Q", chance.choice(NUMBERS))


def pointer(victim: Victim, chance: random.Random, at: int) -> tuple[int, bytes]:
    """What lies somewhere else of the same kind, so that lists and tables go in circles."""
    other = chance.choice(chance.choice(list(victim.places.values()))) & ~7
    return at & ~7, bytes(victim.data[other : other + 8])


def page(victim: Victim, chance: random.Random, at: int) -> tuple[int, bytes]:
    fill = chance.choice((bytes(PAGE), b"\xff" * PAGE, chance.randbytes(PAGE), None))
    if fill is None:
        other = chance.randrange(len(victim.data) // PAGE) * PAGE
        fill = bytes(victim.data[other : other + PAGE])
    return at & -PAGE, fill


def aims(memory: BufferMemory, data: bytearray) -> dict[str, list[int]]:
    """GPAs of what the kernel's reader depends on."""
    kernel = Kernel.open(memory, cache=False)
    found = {"VMCOREINFO": [i.address + at for i in scan(memory) for at in range(len(i.text))]}
    tables = [step.table for va in _known(kernel) for step in kernel.tables.walk(va).steps]
    entries = [
        step.table + 8 * step.index
        for va in _known(kernel)
        for step in kernel.tables.walk(va).steps
    ]
    found["page tables"] = entries + [table + 8 * i for table in set(tables) for i in range(512)]
    names = [name for name in kernel.info.values if name.startswith("SYMBOL(kallsyms")]
    starts = [kernel.info.symbol(name[7:-1]) for name in names]
    found["kallsyms"] = [kernel.translate(va + at) for va in starts if va for at in range(2048)]
    types = kernel.symbol("__start_BTF").address
    size = len(kernel.btf.data)
    found["types"] = [kernel.translate(types + at) for at in [*range(64), *range(64, size, 97)]]
    found["modules"] = _inside(
        kernel,
        [(module.address, module.record.layout.size) for module in kernel.modules()]
        + [(module.record.number("kallsyms"), 64) for module in kernel.modules()],
    )
    task = kernel.layouts["task_struct"].size
    found["tasks"] = _inside(kernel, [(t.address, task) for t in TaskWalker(kernel).walk()])
    device = kernel.layouts["pci_dev"].size
    found["devices"] = _inside(kernel, [(one.address, device) for one in pci_devices(kernel)])
    ring = kernel.info.symbol("prb")
    static = kernel.info.symbol("printk_rb_static")
    found["log"] = _inside(kernel, [(va, 88) for va in (ring, static) if va])
    found["anything"] = list(range(0, len(data), 40961))
    return {kind: places for kind, places in found.items() if places}


def _inside(kernel: Kernel, areas: list[tuple[int, int]]) -> list[int]:
    """GPAs of every fourth byte of these VAs and sizes."""
    places = []
    for start, size in areas:
        if start:
            places += [kernel.translate(start + at) for at in range(0, size, 4)]
    return places


def _known(kernel: Kernel) -> list[int]:
    symbols = ("init_uts_ns", "modules", "__start_BTF", "__per_cpu_offset")
    places = [kernel.symbol(name).address for name in symbols]
    return places + [module.address for module in kernel.modules()]


def ask_everything(memory: BufferMemory) -> int:
    """Gives the number of questions that were answered."""
    kernel = Kernel.open(memory, cache=False)
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
        lambda: system_info(kernel),
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


def fake() -> bytearray:
    """RAM of a small guest with a bit of everything."""
    guest = FakeGuest()
    furnish("qemu1", guest)
    FakePages(guest).slab(8 << 20, b"kmalloc-64")
    return bytearray(guest.memory.read(0, len(guest.space.data)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.ram")
    parser.add_argument("ram", type=Path, nargs="?", help="copy of a guest's RAM")
    parser.add_argument("--machine", default="q35")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one case")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    data = bytearray(options.ram.read_bytes()) if options.ram else fake()
    victim = Victim(data, options.machine)
    resource.setrlimit(resource.RLIMIT_AS, (len(data) + EXTRA_BYTES,) * 2)
    answers = unread = 0
    for case in range(options.seed, options.seed + options.cases):
        faulthandler.dump_traceback_later(options.limit, exit=True)
        print(f"case {case}: {victim.damage(random.Random(case))}", file=sys.stderr, flush=True)
        try:
            answers += ask_everything(victim.memory)
        except NtbdbgError as error:
            unread += 1
            print(f"  {error}", file=sys.stderr)
        victim.mend()
    faulthandler.cancel_dump_traceback_later()
    print(f"{options.cases} cases from {options.seed} on: {answers} answers, {unread} unreadable")
    return 0


if __name__ == "__main__":
    sys.exit(main())
