# SPDX-License-Identifier: MIT
"""The firmware's memory map (e820) as Linux' x86 boot loaders leave it in a guest's low memory.

Layout: ``struct boot_params`` of Linux ``arch/x86/include/uapi/asm/bootparam.h``. The boot
loader's own copy lies below 640 KiB, where every machine's RAM file begins and where Linux since
5.12 never puts anything of its own; so it can be read before it is known what else lies where.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.arch.machines import ABOVE_4G, VGA_HOLE, Range, visible
from ntbdbg.arch.signs import ZERO_PAGE
from ntbdbg.units import PAGE

ZERO_PAGE_SIZE = 0x1000
MAGIC_OFFSET = 0x202
MOST_ENTRIES = 128
MOST_RAM = 1 << 46
"""Bytes; a map that tells of more is none of a guest's."""

MIB = 1 << 20

_COUNT, _SENTINEL, _BOOT_FLAG, _VERSION, _TABLE = 0x1E8, 0x1EF, 0x1FE, 0x206, 0x2D0
_ENTRY = struct.Struct("<QQI")

E820_TYPES = {
    1: "RAM",
    2: "reserved",
    3: "ACPI data",
    4: "ACPI NVS",
    5: "unusable",
    7: "persistent memory",
    12: "protected RAM",
    128: "kernel-reserved RAM",
}


class E820Entry(NamedTuple):
    """One range of the map; `kind` in words."""

    start: int
    size: int
    kind: str

    @property
    def end(self) -> int:
        return self.start + self.size


def e820_kind(number: int) -> str:
    """What a type number means."""
    return E820_TYPES.get(number, f"type {number}")


def e820_entries(zero_page: bytes) -> tuple[E820Entry, ...]:
    """The map in a zero page of `ZERO_PAGE_SIZE` bytes; at most 128 entries, whatever it claims."""
    count = min(zero_page[_COUNT], MOST_ENTRIES)
    rows = (_ENTRY.unpack_from(zero_page, _TABLE + _ENTRY.size * i) for i in range(count))
    return tuple(E820Entry(start, size, e820_kind(kind)) for start, size, kind in rows)


def looks_filled(zero_page: bytes) -> bool:
    """Whether `ZERO_PAGE_SIZE` bytes are a zero page that a boot loader filled in."""
    if len(zero_page) < ZERO_PAGE_SIZE or zero_page[_SENTINEL]:
        return False
    boot_flag, version = (
        int.from_bytes(zero_page[at : at + 2], "little") for at in (_BOOT_FLAG, _VERSION)
    )
    return boot_flag == 0xAA55 and 0x200 <= version < 0x300 and has_map(zero_page)


def has_map(zero_page: bytes) -> bool:
    """Whether there is a map of memory in it; what starts by UEFI leaves the header empty."""
    if not 0 < zero_page[_COUNT] <= MOST_ENTRIES:
        return False
    entries = e820_entries(zero_page)
    sane = all(entry.size and entry.end <= 1 << 52 for entry in entries)
    return sane and any(entry.kind == "RAM" for entry in entries)


def find_low_map(low: bytes) -> tuple[E820Entry, ...] | None:
    """The map in a zero page somewhere in `low`, a guest's first 640 KiB; None if there is none."""
    for page in _zero_pages(low):
        if looks_filled(page):
            return e820_entries(page)
    return None


def _zero_pages(low: bytes) -> Iterator[bytes]:
    at = low.find(ZERO_PAGE)
    while at >= 0:
        if at >= MAGIC_OFFSET:
            yield low[at - MAGIC_OFFSET : at - MAGIC_OFFSET + ZERO_PAGE_SIZE]
        at = low.find(ZERO_PAGE, at + 1)


def ranges_of(entries: tuple[E820Entry, ...], size: int) -> tuple[Range, ...] | None:
    """Where `size` bytes of one RAM file lie according to a map; None if it does not fit to them.

    QEMU gives the low part of the file to addresses below 4 GiB and the rest to those above,
    whatever the machine; only where it cuts differs.
    """
    ends = [entry.end for entry in entries if entry.kind == "RAM"]
    high = max(ends, default=0) - ABOVE_4G if max(ends, default=0) > ABOVE_4G else 0
    low = size - high
    highest_low = max((end for end in ends if end <= ABOVE_4G), default=0)
    if high % PAGE or not highest_low <= low <= ABOVE_4G or low <= 0:
        return None
    parts = [Range(0, low, 0)] + ([Range(ABOVE_4G, ABOVE_4G + high, low)] if high else [])
    return visible(parts, (VGA_HOLE,))


def first_part(entries: tuple[E820Entry, ...], size: int) -> tuple[tuple[Range, ...] | None, int]:
    """Where the first `size` bytes of RAM lie by a map that tells of more, and how much more.

    Of several files, one for each NUMA node, QEMU lays out the first as the start of all RAM.
    """
    ends = [entry.end for entry in entries if entry.kind == "RAM"]
    below = max((end for end in ends if end <= ABOVE_4G), default=0)
    low = -(-below // MIB) * MIB  # the last of it is reserved for tables
    high = max(0, max(ends, default=0) - ABOVE_4G)
    if below <= MIB or high % PAGE or not 0 < size < low + high or low + high > MOST_RAM:
        return None, 0
    parts = [Range(0, min(low, size), 0)]
    if size > low:
        parts.append(Range(ABOVE_4G, ABOVE_4G + size - low, low))
    return visible(parts, (VGA_HOLE,)), low + high - size
