# SPDX-License-Identifier: MIT
"""Finding bytes in a buffer fast, whatever guest memory is full of.

CPython's `bytes.find` skips well in text and crawls through zeros when the needle holds
zeros; memchr for the needle's rarest byte flies, unless that byte is common; numpy is
steady, but costs its import. Which one wins depends on the memory, so a sample of it is
searched by the first two, and the best is taken. All of them give the same matches.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.segments import AddressRange

SMALL = 8 << 20
"""Bytes up to which choosing costs more than it gains."""

SAMPLES, SAMPLE_SIZE = 64, 4096

# numpy: seconds for the import, and per byte. Measured; only their order of size matters.
_NUMPY_START = 0.06
_NUMPY_BYTE = 0.9e-9


class Scanner(ABC):
    """Finds a fixed, non-empty needle."""

    def __init__(self, needle: bytes) -> None:
        self.needle = needle

    @abstractmethod
    def scan(self, buffer: bytearray | bytes, start: int, end: int) -> Iterator[int]:
        """Offsets of every occurrence that lies in `buffer[start:end]`, ascending."""


class FindScanner(Scanner):
    """`bytes.find`."""

    def scan(self, buffer: bytearray | bytes, start: int, end: int) -> Iterator[int]:
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

    def scan(self, buffer: bytearray | bytes, start: int, end: int) -> Iterator[int]:
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


class NumpyScanner(Scanner):
    """Compares whole buffers with the needle's bytes at some positions, then looks at the rest.

    :param order: positions, the rarest byte first; at least one
    """

    def __init__(self, needle: bytes, order: list[int]) -> None:
        super().__init__(needle)
        self.order = order

    def scan(self, buffer: bytearray | bytes, start: int, end: int) -> Iterator[int]:
        import numpy as np

        count = end - start - len(self.needle) + 1
        if count <= 0:
            return
        data = np.frombuffer(buffer, np.uint8, end - start, start)
        first, *others = self.order
        hits = data[first : first + count] == self.needle[first]
        if others:
            second = others.pop(0)
            hits &= data[second : second + count] == self.needle[second]
        found = np.flatnonzero(hits)
        for position in others:
            found = found[data[found + position] == self.needle[position]]
        for at in (found + start).tolist():
            if buffer.startswith(self.needle, at):
                yield at


def choose_scanner(memory: PhysicalMemory, needle: bytes, regions: list[AddressRange]) -> Scanner:
    """The scanner that should be fastest for `needle` in these parts of `memory`."""
    total = sum(region.size for region in regions)
    if total <= SMALL or len(set(needle)) == 1:
        return FindScanner(needle)
    sample = _sample(memory, regions, total)
    order = _by_rarity(needle, sample)
    candidates = [AnchorScanner(needle, order[0]), FindScanner(needle)]
    costs = [_seconds(scanner, sample) * total / len(sample) for scanner in candidates]
    best = min(costs)
    if best > _NUMPY_START + _NUMPY_BYTE * total:
        return NumpyScanner(needle, order)
    return candidates[costs.index(best)]


def _by_rarity(needle: bytes, sample: bytes) -> list[int]:
    """One position for each distinct byte of `needle`, the rarest in `sample` first."""
    counts = {byte: sample.count(byte) for byte in set(needle)}
    return [needle.index(byte) for byte in sorted(counts, key=counts.__getitem__)]


def _seconds(scanner: Scanner, sample: bytes) -> float:
    start = time.perf_counter()
    for _ in scanner.scan(sample, 0, len(sample)):
        pass
    return time.perf_counter() - start


def _sample(memory: PhysicalMemory, regions: list[AddressRange], total: int) -> bytes:
    """`SAMPLES` pieces, evenly spread."""
    pieces = []
    for number in range(SAMPLES):
        skip = total * number // SAMPLES
        for region in regions:
            if skip < region.size:
                size = min(SAMPLE_SIZE, region.size - skip)
                pieces.append(memory.read(region.start + skip, size))
                break
            skip -= region.size
    return b"".join(pieces)
