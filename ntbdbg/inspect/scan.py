# SPDX-License-Identifier: MIT
"""Finding bytes in a buffer fast, whatever guest memory is full of.

The C library's memmem is fast on most memory, and needs no copy of it. It crawls through zeros
when the needle has zeros side by side; there memchr for the needle's rarest byte flies, unless
that byte is common. Which one wins depends on the memory, so a sample of it is searched by both,
and the faster one is taken. The matches are the same.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.segments import AddressRange

SMALL = 8 << 20
"""Bytes up to which choosing costs more than it gains."""

SAMPLES, SAMPLE_SIZE, TRIES = 64, 4096, 3


class Scanner(ABC):
    """Finds a fixed, non-empty needle.

    :ivar in_place: whether `scan` takes a view of memory; otherwise it wants a bytearray
    """

    in_place = False

    def __init__(self, needle: bytes) -> None:
        self.needle = needle

    @abstractmethod
    def scan(self, buffer: bytearray | memoryview, start: int, end: int) -> Iterator[int]:
        """Offsets of every occurrence that lies in `buffer[start:end]`, ascending."""


class FindScanner(Scanner):
    """`bytes.find`."""

    def scan(self, buffer: bytearray | memoryview, start: int, end: int) -> Iterator[int]:
        assert isinstance(buffer, bytearray)
        needle, find = self.needle, buffer.find
        at = find(needle, start, end)
        while at >= 0:
            yield at
            at = find(needle, at + 1, end)


class AnchorScanner(Scanner):
    """memchr for the byte at `anchor` of the needle, then a look at the rest."""

    def __init__(self, needle: bytes, anchor: int) -> None:
        super().__init__(needle)
        self.anchor = anchor

    def scan(self, buffer: bytearray | memoryview, start: int, end: int) -> Iterator[int]:
        assert isinstance(buffer, bytearray)
        needle, find, anchor = self.needle, buffer.find, self.anchor
        byte = needle[anchor : anchor + 1]
        last = end - (len(needle) - 1 - anchor)
        if last < 0:  # would count from the buffer's end
            return
        at = find(byte, start + anchor, last)
        while at >= 0:
            if buffer.startswith(needle, at - anchor):
                yield at - anchor
            at = find(byte, at + 1, last)


class MemmemScanner(Scanner):
    """``memmem`` of the C library."""

    in_place = True

    def __init__(self, needle: bytes) -> None:
        from ntbdbg.inspect import rawbytes

        super().__init__(needle)
        self._memmem = rawbytes.memmem
        self._pinned = rawbytes.Pinned

    def scan(self, buffer: bytearray | memoryview, start: int, end: int) -> Iterator[int]:
        needle, size, memmem = self.needle, len(self.needle), self._memmem
        with self._pinned(buffer) as base:
            at, last = base + start, base + end
            while at + size <= last:
                found = memmem(at, last - at, needle, size)
                if found is None:
                    return
                yield found - base
                at = found + 1


def choose_scanner(memory: PhysicalMemory, needle: bytes, regions: list[AddressRange]) -> Scanner:
    """The scanner that should be fastest for `needle` in these parts of `memory`."""
    total = sum(region.size for region in regions)
    if total <= SMALL or len(set(needle)) == 1:
        return FindScanner(needle)
    if b"\0\0" not in needle:
        return MemmemScanner(needle)
    sample = _sample(memory, regions, total)
    candidates = [MemmemScanner(needle), AnchorScanner(needle, _rarest(needle, sample))]
    return min(candidates, key=lambda scanner: _seconds(scanner, sample))


def _rarest(needle: bytes, sample: bytearray) -> int:
    """The position in `needle` whose byte is the rarest in `sample`."""
    counts = {byte: sample.count(byte) for byte in set(needle)}
    return needle.index(min(counts, key=counts.__getitem__))


def _seconds(scanner: Scanner, sample: bytearray) -> float:
    """The best of a few runs: whatever else the machine does only adds to them."""
    return min(_once(scanner, sample) for _ in range(TRIES))


def _once(scanner: Scanner, sample: bytearray) -> float:
    start = time.perf_counter()
    buffer = sample if scanner.in_place else bytearray(sample)  # as a search would have to
    for _ in scanner.scan(buffer, 0, len(sample)):
        pass
    return time.perf_counter() - start


def _sample(memory: PhysicalMemory, regions: list[AddressRange], total: int) -> bytearray:
    """`SAMPLES` pieces, evenly spread."""
    pieces = []
    for number in range(SAMPLES):
        skip = total * number // SAMPLES
        for region in regions:
            if skip < region.size:
                size = min(SAMPLE_SIZE, region.size - skip)
                with contextlib.suppress(FaultError):  # a dump's page may be damaged
                    pieces.append(memory.read(region.start + skip, size))
                break
            skip -= region.size
    return bytearray().join(pieces) or bytearray(SAMPLE_SIZE)
