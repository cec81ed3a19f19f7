# SPDX-License-Identifier: MIT
"""The one contract for guest-physical bytes, whatever they lie in.

Everything above this room reads memory through `PhysicalMemory`; a live RAM file, a plain
buffer, a capture or a core file are implementations of it. Guest bytes are never cached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ntbdbg.errors import FaultError, UsageError

ADDRESS_LIMIT = 1 << 64


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


class SegmentMap(Sequence[Segment]):
    """Sorted, disjoint segments, and the arithmetic between addresses and offsets."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        ordered = sorted(segments)
        for segment in ordered:
            if segment.start < 0 or segment.offset < 0 or segment.size <= 0:
                raise UsageError(f"segment {segment} is empty or negative")
            if segment.end > ADDRESS_LIMIT:
                raise UsageError(f"segment {segment.range} ends beyond 2^64")
        for low, high in zip(ordered, ordered[1:], strict=False):
            if low.end > high.start:
                raise UsageError(f"segments {low.range} and {high.range} overlap")
        self._segments = tuple(ordered)
        self._starts = [segment.start for segment in ordered]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._segments[index]

    def __len__(self) -> int:
        return len(self._segments)

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

    def explain(self, address: int) -> str:
        """Why `address` is not RAM, as the clause that a FaultError wants."""
        if not self._segments:
            return "is not in RAM, there is none"
        if address >= self._segments[-1].end:
            return f"is beyond the end of RAM at {self._segments[-1].end:#x}"
        index = bisect_right(self._starts, address)
        start = self._segments[index - 1].end if index else 0
        hole = AddressRange(start, self._segments[index].start)
        # RAM that continues at 4 GiB leaves the hole where PCI devices are mapped below it.
        kind = "the PCI hole" if hole.end == 1 << 32 else "a hole"
        return f"is in {kind} {hole}"


class PhysicalMemory(ABC):
    """Guest-physical memory of one guest.

    :ivar name: what messages call it, e.g. ``qemu1``
    :ivar is_live: whether a running guest may change it between two reads
    :ivar segments: where there is RAM, sorted and disjoint
    """

    name: str
    is_live: bool
    segments: SegmentMap

    @abstractmethod
    def read(self, address: int, size: int) -> bytes:
        """Copy of `[address, address + size)`, never short.

        :raises FaultError: a byte of it is not RAM; the error names the first one
        :raises TargetError: the backing vanished, shrank or was replaced
        """

    @abstractmethod
    def view(self, address: int, size: int) -> memoryview:
        """Zero-copy, read-only look at a range inside one segment; same errors as `read`.

        What it shows follows the guest. Do not hold it while the guest may be stopped and
        its file removed; bulk scans use `read` or `extents`.
        """

    @abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Store `data`; all of it or none. Errors as `read`; UsageError where read-only."""

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Ranges that may hold something other than zeros (all RAM, unless known better)."""
        for segment in self.segments:
            part = segment.range if within is None else segment.range.overlap(within)
            if part is not None:
                yield part

    def check(self, address: int, size: int) -> None:
        """Raise FaultError or UsageError unless all of `[address, address + size)` is RAM."""
        if size < 0:
            raise UsageError(f"{self.name}: negative length {size}")
        if address < 0 or address + size > ADDRESS_LIMIT:
            raise UsageError(
                f"{self.name}: {address:#x} + {size:#x} is outside the 64-bit address space"
            )
        covered = sum(length for _, _, length in self.segments.pieces(address, size))
        if covered < size or (size == 0 and self.segments.find(address) is None):
            fault = address + covered
            raise FaultError(self.name, fault, size - covered, self.segments.explain(fault))
