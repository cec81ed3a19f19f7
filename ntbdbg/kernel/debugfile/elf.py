# SPDX-License-Identifier: MIT
"""An ELF file as a linker makes one of a kernel: sections at their addresses, and symbols.

Source: System V ABI, chapters 4 ("Object files") and 5 ("Program loading"), 64-bit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ntbdbg.kernel.debugfile.strings import Strings
from ntbdbg.units import PAGE

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
IDENT = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
EXECUTABLE, X86_64, CURRENT = 2, 62, 1

PROGBITS, SYMTAB, STRTAB, NOTE, NOBITS = 1, 2, 3, 7, 8
"""SHT_*: what a section holds; NOBITS has an address and a size, but nothing in the file."""

WRITE, ALLOC, EXECUTE = 1, 2, 4
"""SHF_*."""

LOAD, READABLE = 1, 4
ABSOLUTE = 0xFFF1
LOCAL, GLOBAL, WEAK = 0, 1, 2
OBJECT, FUNCTION = 1, 2
SMALL_ALIGNMENT = 16


@dataclass(frozen=True)
class Section:
    """One section.

    :ivar size: bytes in memory, which for NOBITS are not in the file
    :ivar address: VA, 0 for what is not loaded
    """

    name: str
    data: bytes = b""
    kind: int = PROGBITS
    flags: int = 0
    address: int = 0
    size: int = 0
    link: int = 0
    info: int = 0
    entry_size: int = 0

    @property
    def length(self) -> int:
        return self.size if self.kind == NOBITS else len(self.data)

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and 0 <= address - self.address < self.length


class ElfSymbol(NamedTuple):
    """One symbol; `binding` and `kind` are STB_* and STT_*."""

    name: str
    address: int
    size: int
    binding: int
    kind: int


def build_elf(sections: Sequence[Section], symbols: Iterable[ElfSymbol], entry: int) -> list[bytes]:
    """The file in pieces that follow each other.

    :param sections: those with `ALLOC` also become segments
    :param entry: VA where the program begins
    """
    loaded = [section for section in sections if section.flags & ALLOC]
    every = [Section("", kind=0), *sections]
    every += _symbol_sections(symbols, every)
    every.append(Section(".shstrtab", kind=STRTAB))
    names = Strings()
    starts = [names.add(section.name) for section in every]
    every[-1] = Section(".shstrtab", bytes(names.data), STRTAB)
    position = _HEADER.size + _PROGRAM.size * len(loaded)
    pieces: list[bytes] = []
    offsets: list[int] = []
    for section in every:
        position = _pad(pieces, position, _alignment(section))
        offsets.append(position)
        if section.kind != NOBITS:
            pieces.append(section.data)
            position += len(section.data)
    position = _pad(pieces, position, SMALL_ALIGNMENT)
    rows = zip(every, starts, offsets, strict=True)
    pieces += [_row(section, name, offset) for section, name, offset in rows]
    places = dict(zip(map(id, every), offsets, strict=True))
    programs = [_program(section, places[id(section)]) for section in loaded]
    return [_header(entry, len(loaded), position, len(every)), *programs, *pieces]


def _alignment(section: Section) -> int:
    return PAGE if section.flags & ALLOC and section.address % PAGE == 0 else SMALL_ALIGNMENT


def _pad(pieces: list[bytes], position: int, alignment: int) -> int:
    padding = -position % alignment
    pieces.append(bytes(padding))
    return position + padding


def _header(entry: int, programs: int, sections_at: int, sections: int) -> bytes:
    return _HEADER.pack(
        *(IDENT, EXECUTABLE, X86_64, CURRENT, entry),
        *(_HEADER.size if programs else 0, sections_at, 0, _HEADER.size),
        *(_PROGRAM.size, programs, _SECTION.size, sections, sections - 1),
    )


def _row(section: Section, name: int, offset: int) -> bytes:
    if not section.kind:
        return bytes(_SECTION.size)
    return _SECTION.pack(
        *(name, section.kind, section.flags, section.address, offset, section.length),
        *(section.link, section.info, _alignment(section), section.entry_size),
    )


def _program(section: Section, offset: int) -> bytes:
    flags = READABLE | (section.flags & WRITE and 2) | (section.flags & EXECUTE and 1)
    in_file = 0 if section.kind == NOBITS else section.length
    place, alignment = section.address, _alignment(section)
    return _PROGRAM.pack(LOAD, flags, offset, place, place, in_file, section.length, alignment)


def _symbol_sections(symbols: Iterable[ElfSymbol], sections: Sequence[Section]) -> list[Section]:
    """``.symtab`` and ``.strtab``, which will stand behind `sections`; local symbols come first."""
    ordered = sorted(symbols, key=lambda symbol: symbol.binding != LOCAL)
    places = [(index, one) for index, one in enumerate(sections) if one.flags & ALLOC]
    names, rows, last = Strings(), [bytes(_SYMBOL.size)], (ABSOLUTE, Section(""))
    for name, address, size, binding, kind in ordered:
        if address not in last[1]:
            last = _place(places, address)
        word = binding << 4 | kind
        rows.append(_SYMBOL.pack(names.add(name), word, 0, last[0], address, size))
    local = 1 + sum(symbol.binding == LOCAL for symbol in ordered)
    table = b"".join(rows)
    return [
        Section(".symtab", table, SYMTAB, 0, 0, 0, len(sections) + 1, local, _SYMBOL.size),
        Section(".strtab", bytes(names.data), STRTAB),
    ]


def _place(places: Sequence[tuple[int, Section]], address: int) -> tuple[int, Section]:
    """Number of the section that `address` is in, or ends."""
    for place in places:
        if address in place[1]:
            return place
    ends = (place for place in places if address == place[1].address + place[1].length)
    return next(ends, (ABSOLUTE, Section("")))
