# SPDX-License-Identifier: MIT
"""A range of kernel virtual addresses as memory with segments: what of it is mapped to RAM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import UsageError
from ntbdbg.kernel.mmu.virtual import VirtualMemory
from ntbdbg.memory.base import PhysicalMemory
from ntbdbg.memory.segments import AddressRange, Segment, SegmentMap, joined, joined_segments

if TYPE_CHECKING:
    from ntbdbg.kernel.mmu.paging import PageTables

MOST_PIECES = 1 << 16
MOST_TABLES = 1 << 13
"""Mapped stretches, and page tables on the way; hostile ones have no end of them."""

LARGEST = 1 << 40
"""Bytes mapped in all; the direct map of a large guest, and its vmalloc area."""


class MappedRange(VirtualMemory):
    """What of `within` is mapped to RAM, by VA.

    :ivar segments: physically contiguous stretches as they were mapped when this was made;
        every read translates anew
    :raises FaultError: nothing of it is mapped
    :raises UsageError: more is mapped than can be gone through
    """

    def __init__(self, tables: PageTables, within: AddressRange) -> None:
        super().__init__(tables)
        segments: list[Segment] = []
        total = 0
        for segment in self._mapped(within):
            segments.append(segment)
            total += segment.size
            if len(segments) > MOST_PIECES or total > LARGEST:
                raise UsageError(
                    f"{self.name}: too much is mapped in {within}", hint="take a smaller range"
                )
        if not segments:
            self.check(within.start, 1)
        self.segments = SegmentMap(segments)

    def readable(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        yield from joined(super().readable(within))

    left_out = PhysicalMemory.left_out

    def _placed(self, within: AddressRange | None) -> Iterator[tuple[int, int, int]]:
        for part in PhysicalMemory.extents(self, within):
            yield from super()._placed(part)

    def _mapped(self, within: AddressRange) -> Iterator[Segment]:
        """Stretches of the range that are RAM, holes and devices left out."""
        runs = self.tables.mapped(within.start, within.size, most_tables=MOST_TABLES)
        for start, size, address in joined_segments(
            Segment(run.virtual, run.size, run.address) for run in runs
        ):
            for ram in self.physical.segments:
                part = ram.range.overlap(AddressRange(address, address + size))
                if part is not None:
                    yield Segment(start + part.start - address, part.size, part.start)
