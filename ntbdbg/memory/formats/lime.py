# SPDX-License-Identifier: MIT
"""LiME dumps: ranges of memory, each behind a header of 32 bytes.

Source: LiME, ``src/lime.h`` (``lime_mem_range_header``, version 1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.errors import FormatError
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats.stored import Claims, StoredMemory
from ntbdbg.memory.image import ImageFacts
from ntbdbg.memory.number import format_size

MAGIC = 0x4C694D45
VERSION = 1
MAX_RANGES = 1 << 16

_HEADER = struct.Struct("<IIQQ8x")
HEADER_SIZE = _HEADER.size


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


def open_image(path: str, name: str) -> StoredMemory:
    """The memory in the dump at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    source = CheckedFile(path, name, "LiME dump")
    try:
        claims = Claims(source.size)
        for at, header in _ranges(source):
            size = header.last + 1 - header.first
            claims.add(header.first, size, at + HEADER_SIZE, size)
        stored, zeros = claims.settle()
        if not stored:
            raise FormatError(source.path, None, "is a LiME dump that holds no memory")
    except BaseException:
        source.close()
        raise
    missing = f"the file is truncated: {format_size(claims.missing)} of memory are missing"
    facts = ImageFacts("LiME", notes=(missing,) if claims.missing else ())
    return StoredMemory(source, stored, zeros, name, facts)


def _ranges(source: CheckedFile) -> Iterator[tuple[int, RangeHeader]]:
    at = count = 0
    while at + HEADER_SIZE <= source.size:
        header = RangeHeader.parse(source.read(at, HEADER_SIZE))
        _check(source.path, at, header)
        yield at, header
        at += HEADER_SIZE + header.last + 1 - header.first
        count += 1
        if count > MAX_RANGES:
            raise FormatError(source.path, at, f"has more than {MAX_RANGES} ranges of memory")


def _check(path: str, at: int, header: RangeHeader) -> None:
    if header.magic != MAGIC:
        raise FormatError(path, at, "no LiME header where the next range should begin")
    if header.version != VERSION:
        raise FormatError(path, at, f"LiME version {header.version}, only {VERSION} is read")
    if header.last < header.first:
        raise FormatError(path, at, f"a range from {header.first:#x} back to {header.last:#x}")
