# SPDX-License-Identifier: MIT
"""The kernel's own unwind tables (ORC), as they lie in its memory.

For every address of its text the kernel knows where the caller's stack pointer and frame pointer
are: sorted ``int`` offsets to addresses, and one ``struct orc_entry`` for each. Source:
``arch/x86/include/asm/orc_types.h``, ``arch/x86/kernel/unwind_orc.c``.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Layout, Record
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.modules.modules import Module
    from ntbdbg.kernel.modules.symbolizer import Symbolizer

MOST_ENTRIES = 1 << 23
"""Of one table; a distribution's kernel has 400,000."""

START_OF_TABLE = "__start_orc_unwind_ip"
"""The symbol of it."""

REGISTERS = ("undefined", "prev_sp", "dx", "di", "bp", "sp", "r10", "r13", "bp@", "sp@")
"""``ORC_REG_*``; ``@`` are those whose value is an address of the value."""

NEWER_REGISTERS = (
    "undefined", "ax", "dx", "sp", "bp", "di", "r10", "r13", "prev_sp", "sp@", "bp@",
)  # fmt: skip
"""The same in Linux 7.3; in 6.18 they are as above."""

_OLD_KINDS = ("call", "regs", "iret")
_NEW_KINDS = ("undefined", "end", "call", "regs", "iret")


class OrcEntry(NamedTuple):
    """How to get from a function to its caller.

    :ivar kind: ``call``, ``regs`` (a whole ``struct pt_regs``), ``iret`` (its last five words),
        ``end`` (of the stack), ``undefined``
    :ivar sp_base: one of `NEWER_REGISTERS`, to which `sp_offset` is added
    """

    kind: str
    sp_base: str
    sp_offset: int
    bp_base: str
    bp_offset: int


BY_FRAME_POINTER = OrcEntry("call", "bp", 16, "prev_sp", -16)
"""For code without an entry, as the kernel itself guesses; where it guesses wrong, it stops."""

NULL_CALL = OrcEntry("call", "sp", 8, "undefined", 0)
"""For a call of address 0."""


class OrcTable:
    """One table: of vmlinux, or of a module.

    :param addresses: VA of the offsets
    :param offsets: from where each one lies to the address it speaks of
    :param entries: as many entries, packed
    :param registers: what the entries' register numbers mean
    """

    def __init__(
        self,
        layout: Layout,
        addresses: int,
        offsets: array[int],
        entries: bytes,
        registers: Sequence[str],
    ) -> None:
        self._layout = layout
        self._registers = registers
        self._base = addresses
        self._offsets = offsets
        self._entries = entries

    def find(self, address: int) -> OrcEntry | None:
        """The entry for the instruction at a VA; None if the table begins behind it."""
        low, high = 0, len(self._offsets)
        while low < high:
            middle = (low + high) // 2
            if self._base + 4 * middle + self._offsets[middle] <= address:
                low = middle + 1
            else:
                high = middle
        return self._entry(low - 1) if low else None

    def rows(self) -> Iterator[tuple[int, OrcEntry]]:
        """VA and entry of each place from which on it holds; an entry that comes again is the same.

        They ascend unless the guest lies.
        """
        size = self._layout.size
        known: dict[bytes, OrcEntry] = {}
        for index, offset in enumerate(self._offsets):
            raw = self._entries[index * size : (index + 1) * size]
            entry = known.get(raw)
            if entry is None:
                entry = known[raw] = self._entry(index)
            yield self._base + 4 * index + offset, entry

    def __len__(self) -> int:
        return len(self._offsets)

    def _entry(self, index: int) -> OrcEntry:
        from ntbdbg.kernel.btf.layout import Record

        size = self._layout.size
        raw = self._entries[index * size : (index + 1) * size]
        return _decoded(Record(self._layout, 0, raw), self._registers)


def _decoded(record: Record, registers: Sequence[str]) -> OrcEntry:
    number = record.number("type")
    sp, bp = record.number("sp_reg"), record.number("bp_reg")
    # 6.4, fb799447ae29 ("x86,objtool: Split UNWIND_HINT_EMPTY in two"): a type more, not a bit
    if record.layout.find("type").bits >= 3:
        kind = _NEW_KINDS[number] if number < len(_NEW_KINDS) else "undefined"
    elif sp == 0:
        kind = "end" if record.has("end") and record.number("end") else "undefined"
    else:
        kind = _OLD_KINDS[number] if number < len(_OLD_KINDS) else "undefined"
    sp_base, bp_base = (
        registers[number] if number < len(registers) else "undefined" for number in (sp, bp)
    )
    return OrcEntry(kind, sp_base, record.signed("sp_offset"), bp_base, record.signed("bp_offset"))


def _numbering(layout: Layout, entries: bytes) -> Sequence[str]:
    """What register numbers mean in a whole table; nothing in it says so.

    Most places find the caller's stack by the stack pointer, next to none by DI. Of these two
    the one was 5 and the other 3; then they changed places.
    """
    column = entries[layout.find("sp_reg").offset :: layout.size]
    threes, fives = (sum(column.count(high << 4 | low) for high in range(16)) for low in (3, 5))
    return NEWER_REGISTERS if threes > fives else REGISTERS


class OrcFinder:
    """The entries of a kernel and its modules, as of one moment.

    :raises KernelError: the kernel has no such tables, or they make no sense
    """

    def __init__(self, kernel: KernelImage, symbolizer: Symbolizer) -> None:
        self._kernel = kernel
        self._symbolizer = symbolizer
        self._budget = kernel.budget
        self._layout = kernel.layouts["orc_entry"]
        self._registers: Sequence[str] = REGISTERS
        self._own = self._vmlinux()
        self._modules: dict[str, OrcTable | None] = {}
        self._text = self._bounds("_text", "_end")

    def find(self, address: int) -> OrcEntry | None:
        """The entry for the instruction at a VA; None if none is known."""
        if self._text[0] <= address < self._text[1]:
            return self._own.find(address)
        module = next((one for one in self._symbolizer.modules if address in one), None)
        table = self._module(module) if module else None
        return table.find(address) if table else None

    def tables(self) -> Iterator[OrcTable]:
        """That of vmlinux, then those of the modules that have one."""
        yield self._own
        for module in self._symbolizer.modules:
            table = self._module(module)
            if table is not None:
                yield table

    def is_text(self, address: int) -> bool:
        """Whether a VA lies in the kernel or in a module."""
        own = self._text[0] <= address < self._text[1]
        return own or any(address in module for module in self._symbolizer.modules)

    def _vmlinux(self) -> OrcTable:
        start, stop = self._bounds(START_OF_TABLE, "__stop_orc_unwind_ip")
        entries, end = self._bounds("__start_orc_unwind", "__stop_orc_unwind")
        count = (stop - start) // 4
        if not 0 < count <= MOST_ENTRIES or (end - entries) // self._layout.size < count:
            raise KernelError(f"the ORC tables with {count} entries make no sense")
        raw = self._read(entries, self._layout.size * count)
        self._registers = _numbering(self._layout, raw)
        return self._table(start, raw)

    def _module(self, module: Module) -> OrcTable | None:
        """None if it has no table, or none that makes sense."""
        if module.name not in self._modules:
            self._modules[module.name] = self._guarded(lambda: self._read_module(module))
        return self._modules[module.name]

    def _guarded(self, read: Callable[[], OrcTable | None]) -> OrcTable | None:
        try:
            return read()
        except (KernelError, FaultError):
            return None

    def _read_module(self, module: Module) -> OrcTable | None:
        record = module.record
        count = record.number("arch.num_orcs")
        if not 0 < count <= MOST_ENTRIES:
            return None
        size = self._layout.size * count
        raw = self._read(record.number("arch.orc_unwind"), size)
        return self._table(record.number("arch.orc_unwind_ip"), raw)

    def _table(self, addresses: int, entries: bytes) -> OrcTable:
        count = len(entries) // self._layout.size
        offsets = array("i", self._read(addresses, 4 * count))
        return OrcTable(self._layout, addresses, offsets, entries, self._registers)

    def _read(self, address: int, size: int) -> bytes:
        self._budget.take(bytes=size)
        return self._kernel.virtual.read(address, size)

    def _bounds(self, start: str, end: str) -> tuple[int, int]:
        found = [self._kernel.table.named(name) for name in (start, end)]
        if not found[0] or not found[1]:
            raise KernelError(
                f"Linux {self._kernel.info.release} has no symbol {start}",
                hint="it was built without CONFIG_UNWINDER_ORC",
            )
        return found[0][0].address, found[1][0].address
