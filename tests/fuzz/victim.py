# SPDX-License-Identifier: MIT
"""RAM of a guest that is damaged, and mended afterwards."""

from __future__ import annotations

import contextlib
import mmap
import random
import struct
from pathlib import Path

from ntbdbg.errors import FaultError
from ntbdbg.kernel.boot.locate import scan
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.tasks.pcidevices import pci_devices
from ntbdbg.kernel.tasks.tasks import TaskWalker
from ntbdbg.memory.layout import qemu_segments
from ntbdbg.memory.ramfile import RamFile
from tests.fuzz.fields import SymbolEdits, TextEdits, TypeEdits

PAGE = 4096
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

LINES = "lines of VMCOREINFO"

Change = tuple[int, bytes]
"""Offset into RAM, and what is put there."""


class Victim:
    """The RAM file at `path`, whose offsets are GPAs as far as the damage goes.

    :ivar places: GPAs worth aiming at, by what is there
    """

    def __init__(self, path: Path, machine: str = "q35") -> None:
        self._file = path.open("r+b")
        self.data = mmap.mmap(self._file.fileno(), 0)
        self.size = len(self.data)
        self.memory = RamFile(str(path), list(qemu_segments(machine, self.size)), name="victim")
        kernel = Kernel.open(self.memory, cache=False)
        self.places = aims(kernel, self.size)
        # Translated while page tables are sound.
        self._gpa = pages_of(kernel)
        self._fields = {
            "fields of types": TypeEdits(kernel),
            "fields of kallsyms": SymbolEdits(kernel),
        }
        self._texts = [(info.address, TextEdits(info.text)) for info in scan(self.memory)]
        self._undo: list[Change] = []

    def damage(self, chance: random.Random) -> str:
        """Change something; gives what, in words."""
        kind = chance.choice((*sorted(self.places), *sorted(self._fields) * 3, LINES))
        words = []
        for _ in range(chance.choice((1, 1, 2, 8))):
            for offset, new in self._changes(kind, chance):
                self._put(offset, new)
                words.append(f"{len(new)} bytes at {offset:#x}")
        return f"{kind}: {', '.join(words)}"

    def mend(self) -> None:
        """Make it as it was."""
        while self._undo:
            offset, old = self._undo.pop()
            self.data[offset : offset + len(old)] = old

    def keep(self, offset: int, size: int) -> None:
        """What somebody else is about to change, to be mended as well."""
        self._undo.append((offset, self.data[offset : offset + size]))

    def _put(self, offset: int, new: bytes) -> None:
        self.keep(offset, len(new))
        self.data[offset : offset + len(new)] = new

    def _changes(self, kind: str, chance: random.Random) -> list[Change]:
        if kind == LINES:
            address, text = chance.choice(self._texts)
            return [(address, text.text(chance))]
        if kind in self._fields:
            edits = self._fields[kind].edits(chance)
            found = [(self._gpa.get(va & -PAGE), va % PAGE, new) for va, new in edits]
            return [(gpa + at, new) for gpa, at, new in found if gpa is not None]
        change = chance.choice((flip, number, pointer, page))
        return [change(self, chance, chance.choice(self.places[kind]))]


def flip(victim: Victim, chance: random.Random, at: int) -> Change:
    return at, bytes([victim.data[at] ^ 1 << chance.randrange(8)])


def number(victim: Victim, chance: random.Random, at: int) -> Change:
    return at & ~7, struct.pack("<Q", chance.choice(NUMBERS))


def pointer(victim: Victim, chance: random.Random, at: int) -> Change:
    """What lies somewhere else of the same kind, so that lists and tables go in circles."""
    other = chance.choice(chance.choice(list(victim.places.values()))) & ~7
    return at & ~7, bytes(victim.data[other : other + 8])


def page(victim: Victim, chance: random.Random, at: int) -> Change:
    fill = chance.choice((bytes(PAGE), b"\xff" * PAGE, chance.randbytes(PAGE), None))
    if fill is None:
        other = chance.randrange(victim.size // PAGE) * PAGE
        fill = bytes(victim.data[other : other + PAGE])
    return at & -PAGE, fill


def aims(kernel: Kernel, size: int) -> dict[str, list[int]]:
    """GPAs of what the kernel's reader depends on."""
    found = {
        "VMCOREINFO": [i.address + at for i in scan(kernel.memory) for at in range(len(i.text))]
    }
    steps = [step for va in _known(kernel) for step in kernel.tables.walk(va).steps]
    entries = [step.table + 8 * step.index for step in steps]
    tables = {step.table for step in steps}
    found["page tables"] = entries + [table + 8 * i for table in tables for i in range(512)]
    names = [name for name in kernel.info.values if name.startswith("SYMBOL(kallsyms")]
    starts = [kernel.info.symbol(name[7:-1]) for name in names]
    found["kallsyms"] = [kernel.translate(va + at) for va in starts if va for at in range(2048)]
    types = kernel.symbol("__start_BTF").address
    length = len(kernel.btf.data)
    found["types"] = [kernel.translate(types + at) for at in [*range(64), *range(64, length, 97)]]
    found["modules"] = _inside(
        kernel,
        [(module.address, module.record.layout.size) for module in kernel.modules()]
        + [(module.record.number("kallsyms"), 64) for module in kernel.modules()],
    )
    task = kernel.layouts["task_struct"].size
    tasks = TaskWalker(kernel).walk(threads=True)
    found["tasks"] = _inside(kernel, [(one.address, task) for one in tasks])
    devices = pci_devices(kernel)
    device = kernel.layouts["pci_dev"].size
    found["devices"] = _inside(kernel, [(one.address, device) for one in devices])
    found["NTB"] = _inside(kernel, [(one.driver_data, 1024) for one in devices if one.driver_data])
    ring = kernel.info.symbol("prb")
    static = kernel.info.symbol("printk_rb_static")
    found["log"] = _inside(kernel, [(va, 88) for va in (ring, static) if va])
    found["anything"] = list(range(0, size, 40961))
    return {kind: places for kind, places in found.items() if places}


def pages_of(kernel: Kernel) -> dict[int, int]:
    """GPA of each page that holds types or symbols, by its VA."""
    places = [(kernel.symbol("__start_BTF").address, len(kernel.btf.data))]
    names = [name[7:-1] for name in kernel.info.values if name.startswith("SYMBOL(kallsyms")]
    places += [(va, 8 << 20) for name in names if (va := kernel.info.symbol(name))]
    found: dict[int, int] = {}
    for start, size in places:
        with contextlib.suppress(FaultError):  # behind the last of them
            for va in range(start & -PAGE, start + size, PAGE):
                found[va] = kernel.translate(va)
    return found


def _inside(kernel: Kernel, areas: list[tuple[int, int]]) -> list[int]:
    """GPAs of every fourth byte of these VAs and sizes, as far as they are there."""
    places = []
    for start, size in areas:
        for at in range(0, size, 4) if start else ():
            try:
                places.append(kernel.translate(start + at))
            except FaultError:
                break
    return places


def _known(kernel: Kernel) -> list[int]:
    symbols = ("init_uts_ns", "modules", "__start_BTF", "__per_cpu_offset")
    places = [kernel.symbol(name).address for name in symbols]
    return places + [module.address for module in kernel.modules()]
