# SPDX-License-Identifier: MIT
"""The parts of ELF that a core of a machine has: header, program headers, notes.

64-bit, little-endian; System V gABI, chapters 4 and 5. Plain structs instead of pyelftools:
a core can have 100,000 program headers, and here a table is one read and one unpack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"\x7fELF"
CLASS64, LITTLE_ENDIAN, VERSION = 2, 1, 1
ET_CORE = 4
PT_LOAD, PT_NOTE = 1, 4
PN_XNUM = 0xFFFF
"""e_phnum when there are more; the number is then in section header 0."""

NT_PRSTATUS = 1

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NOTE = struct.Struct("<III")

HEADER_SIZE, PROGRAM_SIZE, SECTION_SIZE = _HEADER.size, _PROGRAM.size, _SECTION.size


class Header(NamedTuple):
    """Elf64_Ehdr."""

    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    @classmethod
    def parse(cls, data: bytes) -> Header:
        return cls._make(_HEADER.unpack_from(data))

    def build(self) -> bytes:
        return _HEADER.pack(*self)


class ProgramHeader(NamedTuple):
    """Elf64_Phdr."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    @classmethod
    def parse_table(cls, data: bytes) -> Iterator[ProgramHeader]:
        return map(cls._make, _PROGRAM.iter_unpack(data))

    def build(self) -> bytes:
        return _PROGRAM.pack(*self)


def section_info(data: bytes) -> int:
    """sh_info of the section header in `data`."""
    return int(_SECTION.unpack_from(data)[7])


def build_section(info: int) -> bytes:
    """Section header 0 of a file with more than 65534 program headers."""
    return _SECTION.pack(0, 0, 0, 0, 0, 0, 0, info, 0, 0)


class Note(NamedTuple):
    """One note of a PT_NOTE segment."""

    name: bytes
    type: int
    desc: bytes

    def build(self) -> bytes:
        head = _NOTE.pack(len(self.name) + 1, len(self.desc), self.type)
        return head + _padded(self.name + b"\0") + _padded(self.desc)


def parse_notes(data: bytes) -> Iterator[Note]:
    """The notes in `data`, up to the first that does not fit in."""
    at = 0
    while at + _NOTE.size <= len(data):
        namesz, descsz, kind = _NOTE.unpack_from(data, at)
        name = at + _NOTE.size
        desc = name + _rounded(namesz)
        if desc + descsz > len(data):
            return
        yield Note(data[name : name + namesz].rstrip(b"\0"), kind, data[desc : desc + descsz])
        at = desc + _rounded(descsz)


def _rounded(size: int) -> int:
    return -(-size // 4) * 4


def _padded(data: bytes) -> bytes:
    return data.ljust(_rounded(len(data)), b"\0")
