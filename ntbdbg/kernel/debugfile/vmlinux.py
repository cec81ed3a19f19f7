# SPDX-License-Identifier: MIT
"""A vmlinux as a debugger wants one, of a kernel and its modules as they lie in RAM.

Addresses are those of this boot. Text is what the processor executes: with alternatives, static
calls, ftrace and breakpoints patched in. Data is as it was then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.debugfile.dwarf import Dwarf
from ntbdbg.kernel.debugfile.elf import (
    ALLOC,
    EXECUTE,
    FUNCTION,
    GLOBAL,
    LOCAL,
    NOBITS,
    NOTE,
    OBJECT,
    WEAK,
    WRITE,
    ElfSymbol,
    Section,
    build_elf,
)
from ntbdbg.kernel.debugfile.frames import build_frames
from ntbdbg.kernel.debugfile.variables import CODE
from ntbdbg.kernel.modules.modules import Module, Region
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.modules.types import ModuleTypes
from ntbdbg.kernel.stacks.orc import OrcEntry, OrcFinder, OrcTable
from ntbdbg.kernel.symbols.symbols import Symbol, SymbolTable
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.memory.base import PhysicalMemory

CHUNK = 2 << 20
MOST_TEXT = 128 << 20
"""Bytes of code of vmlinux; a distribution's has some 20 MiB."""

MOST_PERCPU = 16 << 20
MOST_MODULE_TEXT = 32 << 20
PRODUCER = "ntbdbg, from BTF, kallsyms and ORC in RAM"

_WEAK = frozenset("vVwW")
_NT_GNU_BUILD_ID = 3


@dataclass
class Vmlinux:
    """The file, and what of it is to be told.

    :ivar pieces: its content, in order
    :ivar types: how many structures, unions and enumerations have a name in it
    :ivar modules: names of those that are in it
    """

    pieces: list[bytes] = field(default_factory=list)
    symbols: int = 0
    types: int = 0
    modules: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.pieces))


class VmlinuxMaker:
    """Makes one of `kernel`, as of now.

    :param only_modules: leave out what debug information of vmlinux tells better
    :param linked: have it at the addresses it was linked for, and without modules, which were for
        none; readers that know of KASLR move it by themselves
    """

    def __init__(
        self, kernel: KernelImage, *, only_modules: bool = False, linked: bool = False
    ) -> None:
        self._kernel, self._only_modules, self._linked = kernel, only_modules, linked
        self._shift = kernel.info.kernel_offset if linked else 0
        self._table = kernel.table.moved(self._shift)
        self._budget = kernel.budget
        self._symbolizer = Symbolizer(kernel)
        self._made = Vmlinux()
        self._sections: list[Section] = []
        self._tables: list[SymbolTable] = []

    def make(self) -> Vmlinux:
        """The file; what of it cannot be had is left out, and its notes say so.

        :raises KernelError: not even symbols are found
        """
        self._image()
        if not self._linked:
            self._modules()
        self._own_build_id()
        self._types()
        self._frames()
        symbols = [_elf_symbol(symbol) for table in self._tables for symbol in table]
        self._budget.take(items=len(symbols))
        self._made.symbols = len(symbols)
        entry = self._symbolizer.symbol("_text").address - self._shift
        self._made.pieces = build_elf(self._sections, symbols, entry)
        return self._made

    # -- memory ----------------------------------------------------------------------------

    def _image(self) -> None:
        if self._only_modules:
            return
        names = ("_text", "_etext", "_sdata", "_edata", "_end")
        found = [self._kernel.table.named(name) for name in names]
        text, text_end, data, data_end, end = (one[0].address if one else 0 for one in found)
        self._tables.append(self._table)
        self._percpu()
        self._bytes(".text", text, text_end - text, MOST_TEXT, EXECUTE)
        if not text < text_end <= data < data_end <= end:
            self._empty(".data", text_end, end - text_end)
            return
        # Between code and read-only data, and behind that, is nothing.
        self._bytes(".rodata", text_end, data - text_end, MOST_TEXT, 0, holes=True)
        self._bytes(".data", data, data_end - data, MOST_TEXT, WRITE)
        self._empty(".bss", data_end, end - data_end)

    def _percpu(self) -> None:
        """The section whose addresses are offsets into every CPU's own memory."""
        end = self._kernel.table.named("__per_cpu_end")
        if end and 0 < end[0].address <= MOST_PERCPU:
            zeros = bytes(end[0].address)  # not its first values, which are given up after boot
            self._sections.append(Section(".data..percpu", zeros, flags=ALLOC | WRITE))

    def _modules(self) -> None:
        modules = self._symbolizer.modules
        for module in modules:
            try:
                self._tables.append(self._symbolizer.table(module.name))
            except KernelError as error:
                self._made.notes.append(error.message)
            for name, region in _parts(module):
                if name == "text":
                    self._bytes(f"{module.name}.text", *region[1:], MOST_MODULE_TEXT, EXECUTE)
                else:
                    self._empty(f"{module.name}.{name}", *region[1:])
            self._made.modules.append(module.name)
        if modules.partial:
            self._made.notes.append(f"modules may be missing: {modules.partial}")

    def _bytes(
        self, name: str, start: int, size: int, most: int, flags: int, *, holes: bool = False
    ) -> None:
        """A section with what is at a VA; what cannot be read of it is zeros."""
        if not 0 < size <= most:
            self._made.notes.append(f"{name}: {size} bytes of it are not plausible: left out")
            return
        self._budget.take(bytes=size)
        data, lost = _read(self._kernel.virtual, start, size)
        if lost and not holes:
            self._made.notes.append(f"{name}: {lost} bytes of it cannot be read, and are zeros")
        place = start - self._shift
        self._sections.append(Section(name, data, flags=ALLOC | flags, address=place))

    def _empty(self, name: str, start: int, size: int) -> None:
        """A section of which the file has no bytes."""
        if size > 0:
            place = start - self._shift
            self._sections.append(Section(name, b"", NOBITS, ALLOC | WRITE, place, size))

    def _code(self, address: int, size: int) -> bytes:
        for section in self._sections:
            if address in section:
                start = address - section.address
                return section.data[start : start + size]
        return b""

    def _own_build_id(self) -> None:
        build_id = self._kernel.info.build_id
        if build_id and not self._only_modules:
            raw = bytes.fromhex(build_id)
            note = struct.pack("<III4s", 4, len(raw), _NT_GNU_BUILD_ID, b"GNU\0") + raw
            self._sections.append(Section(".note.gnu.build-id", note, NOTE))

    # -- debug information -----------------------------------------------------------------

    def _types(self) -> None:
        try:
            btf = self._kernel.btf
        except KernelError as error:
            self._made.notes.append(f"without types: {error.message}")
            return
        if not self._only_modules:
            self._sections.append(Section(".BTF", btf.data))
        dwarf = Dwarf(PRODUCER, self._code, self._budget)
        table = SymbolTable.empty() if self._only_modules else self._table
        dwarf.add(btf, table, self._ranges("."))
        self._made.types = _count(btf)
        for module, types in () if self._linked else self._module_types():
            dwarf.add(types, self._symbolizer.table(module), self._ranges(f"{module}."))
            self._made.types += _count(types)
        for name, parts in dwarf.dropped:
            self._made.notes.append(f"types of {name}: {parts} parts make no sense: left out")
        self._sections += dwarf.sections()

    def _module_types(self) -> Iterator[tuple[str, Btf]]:
        """Of the modules that carry types and whose symbols make sense."""
        try:
            types = ModuleTypes(self._kernel)
        except KernelError:
            return
        sound = {table.module for table in self._tables}
        for module in self._symbolizer.modules:
            if module.name not in sound:
                continue
            try:
                yield module.name, types.of(module)
            except KernelError as error:
                self._made.notes.append(error.message)

    def _ranges(self, prefix: str) -> list[tuple[int, int]]:
        """Where the code of a module is, or that of vmlinux."""
        return [
            (one.address, one.address + one.length)
            for one in self._sections
            if one.flags & EXECUTE and one.name == f"{prefix}text"
        ]

    def _frames(self) -> None:
        try:
            finder = OrcFinder(self._kernel, self._symbolizer)
            tables = list(finder.tables())[: 1 if self._linked else None]
            self._budget.take(items=sum(map(len, tables)))
            frames = build_frames(map(self._rows, tables))
        except (KernelError, FaultError) as error:
            self._made.notes.append(f"without frames, so backtraces are guesses: {error.message}")
            return
        self._sections.append(Section(".debug_frame", frames))

    def _rows(self, table: OrcTable) -> Iterator[tuple[int, OrcEntry]]:
        return ((address - self._shift, entry) for address, entry in table.rows())


def _parts(module: Module) -> Iterator[tuple[str, Region]]:
    """Its memory by name; before Linux 6.4 code and data are in one piece."""
    for region in module.regions:
        path = f"{region.kind}_layout.text_size"
        if region.kind in ("core", "init") and module.record.has(path):
            size = min(module.record.number(path), region.size)
            prefix = "" if region.kind == "core" else "init_"
            if size:
                yield f"{prefix}text", Region("text", region.start, size)
            if region.size > size:
                yield f"{prefix}data", Region("data", region.start + size, region.size - size)
        else:
            yield region.kind, region


def _elf_symbol(symbol: Symbol) -> ElfSymbol:
    binding = GLOBAL if symbol.is_global else LOCAL
    if symbol.letter in _WEAK:
        binding = WEAK
    kind = FUNCTION if symbol.letter in CODE else OBJECT
    return ElfSymbol(symbol.name, symbol.address, symbol.size, binding, kind)


def _count(btf: Btf) -> int:
    kinds = (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64)
    return sum(btf.is_named(number) for number in btf.ids(*kinds))


def _read(memory: PhysicalMemory, start: int, size: int) -> tuple[bytes, int]:
    """The bytes at a VA, zeros for pages that are not there, and how many bytes these are."""
    found, lost = bytearray(), 0
    for address in range(start, start + size, CHUNK):
        length = min(CHUNK, start + size - address)
        try:
            found += memory.read(address, length)
        except FaultError:
            pages, missing = _pages(memory, address, length)
            found += pages
            lost += missing
    return bytes(found), lost


def _pages(memory: PhysicalMemory, start: int, size: int) -> tuple[bytes, int]:
    found, lost, end = bytearray(), 0, start + size
    while start < end:
        length = min(PAGE - start % PAGE, end - start)
        try:
            found += memory.read(start, length)
        except FaultError:
            found += bytes(length)
            lost += length
        start += length
    return bytes(found), lost
