# SPDX-License-Identifier: MIT
"""A guest's physical address space as a list: RAM, the holes between, what is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.memory.base import VGA_HOLE
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory


RAM = "RAM"
UNSURE_ROM = "unknown: ROM of a UEFI guest?"


class Area(NamedTuple):
    """A stretch of the address space.

    :ivar kind: ``RAM``, ``VGA hole``, ``PCI hole``, ``hole``, or that it is unknown
    :ivar offset: of its first byte in the backing, None for a hole, and where that has no bytes
        as they are: compressed, or zeros that are not stored
    :ivar allocated: bytes of it that the host has given memory to; None for a hole, and for RAM
        if nobody knows
    """

    range: AddressRange
    kind: str
    offset: int | None
    allocated: int | None


def memory_map(memory: PhysicalMemory, unsure: AddressRange | None = None) -> list[Area]:
    """All areas from address 0 to the end of RAM, by address.

    :param unsure: what may be ROM although the backing has bytes for it
    """
    areas: list[Area] = []
    at = 0
    for segment in memory.segments:
        if segment.start > at:
            areas.append(_hole(AddressRange(at, segment.start)))
        for part, kind in _parts(segment.range, unsure):
            used = sum(extent.size for extent in memory.extents(part))
            known = used if memory.knows_holes else None
            areas.append(Area(part, kind, memory.file_offset(part.start), known))
        at = segment.end
    return areas


def _parts(ram: AddressRange, unsure: AddressRange | None) -> Iterator[tuple[AddressRange, str]]:
    """RAM, and what may be none."""
    inside = unsure and ram.overlap(unsure)
    if not inside:
        yield ram, RAM
        return
    if ram.start < inside.start:
        yield AddressRange(ram.start, inside.start), RAM
    yield inside, UNSURE_ROM
    if inside.end < ram.end:
        yield AddressRange(inside.end, ram.end), RAM


def _hole(hole: AddressRange) -> Area:
    if hole == VGA_HOLE:
        return Area(hole, "VGA hole", None, None)
    return Area(hole, "PCI hole" if hole.end == 1 << 32 else "hole", None, None)
