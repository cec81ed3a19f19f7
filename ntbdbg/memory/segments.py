# SPDX-License-Identifier: MIT
"""Which guest-physical addresses are RAM, and where their bytes lie in the backing."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ntbdbg.arch import machines
from ntbdbg.errors import UsageError
from ntbdbg.units import ADDRESS_LIMIT


class AddressRange(NamedTuple):
    """Half-open `[start, end)` of guest-physical addresses."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end

    def overlap(self, other: AddressRange) -> AddressRange | None:
        """The part both share, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return AddressRange(start, end) if start < end else None

    def __str__(self) -> str:
        return f"[{self.start:#x}, {self.end:#x})"


VGA_HOLE = AddressRange(*machines.VGA_HOLE)


class Segment(NamedTuple):
    """`size` bytes of RAM at guest-physical `start`, stored at `offset` of the backing."""

    start: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def range(self) -> AddressRange:
        return AddressRange(self.start, self.end)


def joined(ranges: Iterable[AddressRange]) -> Iterator[AddressRange]:
    """Ranges in order, those that adjoin as one."""
    start = end = -1
    for part in ranges:
        if part.start != end:
            if start >= 0:
                yield AddressRange(start, end)
            start = part.start
        end = part.end
    if start >= 0:
        yield AddressRange(start, end)


def joined_segments(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Segments that go on where the one before ends, in memory and in the file, become one."""
    last: Segment | None = None
    for segment in segments:
        if last and (last.end, last.offset + last.size) == (segment.start, segment.offset):
            last = last._replace(size=last.size + segment.size)
            continue
        if last:
            yield last
        last = segment
    if last:
        yield last


def overlaps(
    mine: Iterator[AddressRange], theirs: Iterator[AddressRange]
) -> Iterator[AddressRange]:
    """What two sequences of ranges, each in order, have in common."""
    left, right = next(mine, None), next(theirs, None)
    while left and right:
        part = left.overlap(right)
        if part:
            yield part
        if left.end <= right.end:
            left = next(mine, None)
        else:
            right = next(theirs, None)


def merged(ranges: Iterable[AddressRange]) -> Iterator[AddressRange]:
    """The union of ranges in any order that may overlap, in order, those that adjoin as one."""
    start = end = -1
    for part in sorted(ranges):
        if part.start > end:
            if start >= 0:
                yield AddressRange(start, end)
            start = part.start
        end = max(end, part.end)
    if start >= 0:
        yield AddressRange(start, end)


def without(mine: Iterable[AddressRange], theirs: Iterable[AddressRange]) -> Iterator[AddressRange]:
    """What of `mine` is in none of `theirs`; both in order and disjoint."""
    cuts = iter(theirs)
    cut = next(cuts, None)
    for start, end in mine:
        while cut and cut.start < end:
            if start < cut.start:
                yield AddressRange(start, cut.start)
            start = max(start, cut.end)
            if cut.end > end:
                break
            cut = next(cuts, None)
        if start < end:
            yield AddressRange(start, end)


class SegmentMap(Sequence[Segment]):
    """Sorted, disjoint segments, and the arithmetic between addresses and offsets."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        ordered = sorted(segments)
        for segment in ordered:
            if segment.start < 0 or segment.offset < 0 or segment.size <= 0:
                raise UsageError(f"segment {segment} is empty or negative")
            if segment.end > ADDRESS_LIMIT:
                raise UsageError(f"segment {segment.range} ends beyond 2^64")
        for low, high in itertools.pairwise(ordered):
            if low.end > high.start:
                raise UsageError(f"segments {low.range} and {high.range} overlap")
        self._segments = tuple(ordered)
        self._starts = [segment.start for segment in ordered]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._segments[index]

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def total(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def find(self, address: int) -> Segment | None:
        """The segment that holds `address`, or None."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._segments[index].end:
            return self._segments[index]
        return None

    def pieces(self, address: int, size: int) -> Iterator[tuple[Segment, int, int]]:
        """Cut `[address, address + size)` at segment borders.

        Yields `(segment, address, size)`; stops at the first byte that no segment holds.
        """
        end = address + size
        while address < end:
            segment = self.find(address)
            if segment is None:
                return
            length = min(end, segment.end) - address
            yield segment, address, length
            address += length

    def within(self, bounds: AddressRange) -> Iterator[AddressRange]:
        """The parts of segments that lie in `bounds`."""
        index = max(0, bisect_right(self._starts, bounds.start) - 1)
        while index < len(self._starts) and self._starts[index] < bounds.end:
            part = self._segments[index].range.overlap(bounds)
            if part is not None:
                yield part
            index += 1

    def explain(self, address: int) -> str:
        """Why `address` is not RAM, as the clause that a FaultError wants."""
        if not self._segments:
            return "is not in RAM, there is none"
        if address >= self._segments[-1].end:
            return f"is beyond the end of RAM at {self._segments[-1].end:#x}"
        index = bisect_right(self._starts, address)
        start = self._segments[index - 1].end if index else 0
        hole = AddressRange(start, self._segments[index].start)
        if hole == VGA_HOLE:
            return f"is in the VGA hole {hole}"
        # RAM that continues at 4 GiB leaves the hole where PCI devices are mapped below it.
        kind = "the PCI hole" if hole.end == 1 << 32 else "a hole"
        return f"is in {kind} {hole}"

    def check_backing(self, size: int, name: str) -> None:
        """Raise UsageError unless every segment lies within `size` bytes of backing."""
        for segment in self._segments:
            if segment.offset + segment.size > size:
                raise UsageError(
                    f"{name}: segment {segment.range} at offset {segment.offset:#x} needs "
                    f"{segment.offset + segment.size:#x} bytes, there are {size:#x}"
                )

    def runs(self) -> Iterator[AddressRange]:
        """Stretches of RAM without a hole: segments that adjoin in addresses count as one."""
        return joined(segment.range for segment in self._segments)
