# SPDX-License-Identifier: MIT
"""Layout of kdump-compressed files (diskdump), 64-bit little-endian.

Blocks of one page's size: the header; the sub header with notes behind it; two bitmaps of
the same length, of the pages that exist and of those that were dumped; then a descriptor for
each dumped page, and the pages' data. Source: makedumpfile, ``diskdump_mod.h`` and
IMPLEMENTATION; QEMU writes version 6 of the same (``include/system/dump.h``).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SIGNATURE, OLD_SIGNATURE = b"KDUMP   ", b"DISKDUMP"
VERSION = 6
UTSNAME_FIELDS = 6
UTSNAME_SIZE = 65

ZLIB, LZO, SNAPPY, INCOMPLETE, EXCLUDED_VMEMMAP, ZSTD = 1, 2, 4, 8, 0x10, 0x20
METHODS = {ZLIB: "zlib", LZO: "lzo", SNAPPY: "snappy", ZSTD: "zstd"}

_HEADER = struct.Struct(f"<8si{UTSNAME_FIELDS * UTSNAME_SIZE}s6xqqIiiIIIIIIi")
_SUB = struct.Struct("<QiiQQQQQQQQQQQ")
_DESCRIPTOR = struct.Struct("<QIIQ")

HEADER_SIZE, SUB_SIZE, DESCRIPTOR_SIZE = _HEADER.size, _SUB.size, _DESCRIPTOR.size


class Header(NamedTuple):
    """disk_dump_header; sizes are in blocks of `block_size` bytes."""

    signature: bytes
    version: int
    utsname: bytes
    seconds: int
    microseconds: int
    status: int
    block_size: int
    sub_blocks: int
    bitmap_blocks: int
    max_mapnr: int
    total_ram_blocks: int
    device_blocks: int
    written_blocks: int
    current_cpu: int
    cpus: int

    @property
    def machine(self) -> bytes:
        """What ``uname -m`` says, and NULs."""
        return self.utsname[4 * UTSNAME_SIZE : 5 * UTSNAME_SIZE]

    @classmethod
    def parse(cls, data: bytes) -> Header:
        return cls._make(_HEADER.unpack_from(data))

    def build(self) -> bytes:
        return _HEADER.pack(*self)


class SubHeader(NamedTuple):
    """kdump_sub_header; fields that came with later versions are the last ones."""

    phys_base: int = 0
    dump_level: int = 0
    split: int = 0
    start_pfn: int = 0
    end_pfn: int = 0
    vmcoreinfo_offset: int = 0
    vmcoreinfo_size: int = 0
    note_offset: int = 0
    note_size: int = 0
    eraseinfo_offset: int = 0
    eraseinfo_size: int = 0
    start_pfn_64: int = 0
    end_pfn_64: int = 0
    max_mapnr_64: int = 0

    @classmethod
    def parse(cls, data: bytes, version: int) -> SubHeader:
        fields = _SUB.unpack_from(data)
        known = _FIELDS_OF_VERSION.get(version, len(fields))
        return cls(*fields[:known])

    def build(self) -> bytes:
        return _SUB.pack(*self)


#: header version → how many fields its sub header has
_FIELDS_OF_VERSION = {0: 1, 1: 2, 2: 5, 3: 7, 4: 9, 5: 11}


class Descriptor(NamedTuple):
    """page_desc: where the data of one page lies."""

    offset: int
    size: int
    flags: int
    page_flags: int = 0

    @classmethod
    def parse_table(cls, data: bytes) -> list[Descriptor]:
        return [cls._make(fields) for fields in _DESCRIPTOR.iter_unpack(data)]

    def build(self) -> bytes:
        return _DESCRIPTOR.pack(*self)
