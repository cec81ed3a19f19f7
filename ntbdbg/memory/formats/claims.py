# SPDX-License-Identifier: MIT
"""What a dump claims of memory, put in order: claims may overlap, memory is disjoint.

The kernel's own text is in a vmcore twice, as is whatever two virtual addresses map. Bytes that
the file has of an address count, whichever claim they belong to; zeros are only what no claim
has, or would have had, bytes for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ntbdbg.memory.base import AddressRange, Segment
from ntbdbg.memory.image import ByteSource
from ntbdbg.memory.segments import joined_segments, merged, without
from ntbdbg.units import format_size


class Settled(NamedTuple):
    """Memory, each byte of it once, by address.

    :ivar stored: what lies in the file, and where
    :ivar zeros: what the file only mentions
    :ivar missing: what the file was cut short of
    """

    stored: list[Segment]
    zeros: list[AddressRange]
    missing: list[AddressRange]

    def remarks(self) -> Iterator[str]:
        """What the user should know of it."""
        if self.missing:
            size = format_size(sum(part.size for part in self.missing))
            yield f"the file is truncated: {size} of memory are missing"


class Claims:
    """Gathers the claims of the dump `source`."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._stored: list[Segment] = []
        self._promised: list[AddressRange] = []
        self._claimed: list[AddressRange] = []

    def add(self, start: int, size: int, offset: int, stored: int) -> None:
        """`size` bytes at `start`; the first `stored` of them lie at `offset`, the rest is zero."""
        stored = min(stored, size)
        shift = start - offset
        for low, high in self._source.present(offset, offset + stored):
            self._stored.append(Segment(low + shift, high - low, low))
        if stored:
            self._promised.append(AddressRange(start, start + stored))
        self._claimed.append(AddressRange(start, start + size))

    def settle(self) -> Settled:
        """All claims, those that have bytes first."""
        stored = list(joined_segments(_disjoint(self._stored)))
        there = [segment.range for segment in stored]
        missing = list(without(merged(self._promised), there))
        known = list(merged([*there, *missing]))
        return Settled(stored, list(without(merged(self._claimed), known)), missing)


def _disjoint(pieces: Iterable[Segment]) -> Iterator[Segment]:
    """What pieces hold, each address once; of two that start alike the larger one counts."""
    end = 0
    for start, size, offset in sorted(pieces, key=lambda piece: (piece.start, -piece.size)):
        cut = max(0, end - start)
        if cut < size:
            yield Segment(start + cut, size - cut, offset + cut)
            end = start + size
