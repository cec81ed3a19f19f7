# SPDX-License-Identifier: MIT
"""LiME dumps: ranges of memory, each behind a header of 32 bytes.

Source: LiME, ``src/lime.h`` (``lime_mem_range_header``, version 1). Writers differ: some leave an
empty range (its last byte before its first), some fill up with zeros behind a range.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.errors import FormatError
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats.claims import Claims
from ntbdbg.memory.formats.stored import StoredMemory
from ntbdbg.memory.image import ImageFacts
from ntbdbg.units import ADDRESS_LIMIT

MAGIC = 0x4C694D45
VERSION = 1
MAX_RANGES = 1 << 16

MOST_PADDING = 16 << 20
"""Zeros behind a range that are gone through for the next header."""

_HEADER = struct.Struct("<IIQQ8x")
HEADER_SIZE = _HEADER.size
_CHUNK = 1 << 20


class RangeHeader(NamedTuple):
    """lime_mem_range_header; `last` is the address of the last byte, not the one behind it."""

    magic: int
    version: int
    first: int
    last: int

    @classmethod
    def parse(cls, data: bytes) -> RangeHeader:
        return cls._make(_HEADER.unpack(data))

    def build(self) -> bytes:
        return _HEADER.pack(*self)

    @property
    def size(self) -> int:
        """Bytes of the range."""
        return self.last + 1 - self.first

    def problem(self) -> str | None:
        """Why no range can follow, as a clause; None if one can."""
        if self.magic != MAGIC:
            return "no LiME header where the next range should begin"
        if self.version != VERSION:
            return f"LiME version {self.version}, only {VERSION} is read"
        if self.size < 0:
            return f"a range from {self.first:#x} back to {self.last:#x}"
        return None


class Damage(NamedTuple):
    """Where a dump goes wrong, and how, as a clause."""

    offset: int
    problem: str

    def __str__(self) -> str:
        return f"damaged at offset {self.offset:#x}: {self.problem}"


def open_image(path: str, name: str) -> StoredMemory:
    """The memory in the dump at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    source = CheckedFile(path, name, "LiME dump")
    damages: list[Damage] = []
    try:
        claims = Claims(source)
        for at, header in _ranges(source, damages):
            claims.add(header.first, header.size, at + HEADER_SIZE, header.size)
        settled = claims.settle()
        if not settled.stored:
            why = damages[0] if damages else Damage(0, "is a LiME dump that holds no memory")
            raise FormatError(source.path, why.offset, why.problem)
    except BaseException:
        source.close()
        raise
    notes = (*map(str, damages), *settled.remarks())
    return StoredMemory(source, settled, name, ImageFacts("LiME", notes=notes))


def _ranges(source: CheckedFile, damages: list[Damage]) -> Iterator[tuple[int, RangeHeader]]:
    """Where each header is; what is wrong between them goes to `damages`."""
    at = 0
    for _ in range(MAX_RANGES):
        if at >= source.size:
            return
        header = _header_at(source, at)
        problem = "its last header is cut short" if header is None else header.problem()
        if header is None or problem:
            damages.append(Damage(at, problem or ""))
            beyond = _behind_zeros(source, at)
            if beyond == at or beyond is None:
                return
            at = beyond
            continue
        if header.size and header.last < ADDRESS_LIMIT - 1:
            yield at, header
        at += HEADER_SIZE + header.size
    damages.append(Damage(at, f"has more than {MAX_RANGES} ranges of memory"))


def _header_at(source: CheckedFile, at: int) -> RangeHeader | None:
    if at + HEADER_SIZE > source.size:
        return None
    return RangeHeader.parse(source.read(at, HEADER_SIZE))


def _behind_zeros(source: CheckedFile, at: int) -> int | None:
    """Where the zeros end that begin at `at`; None if that is too far, or the end of the file."""
    for low in range(at, min(source.size, at + MOST_PADDING), _CHUNK):
        data = source.read(low, min(_CHUNK, source.size - low))
        rest = data.lstrip(b"\0")
        if rest:
            return low + len(data) - len(rest)
    return None
