# SPDX-License-Identifier: MIT
"""A bitmap with one bit for each page, in a file: which pages there are, and their rank.

The bitmap of a machine with 64 TiB has 2 GiB, so it stays in the file. What is kept is one
count for every 4 KiB of it, and the last 4 KiB looked at.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import accumulate

from ntbdbg.memory.image import ByteSource

BLOCK = 4096
"""Bytes of bitmap between two counts."""

BLOCK_PAGES = BLOCK * 8
_STRETCH = 64 * BLOCK

_RUNS = re.compile(rb"\xff+|[^\x00\xff]")


class PageBitmap:
    """`pages` bits at `offset` of `source`, least significant bit first.

    :ivar total: pages whose bit is set
    """

    def __init__(self, source: ByteSource, offset: int, pages: int) -> None:
        self.pages = pages
        self._source = source
        self._offset = offset
        self._size = -(-pages // 8)
        self._ranks = self._count()
        self.total = self._ranks[-1]
        self._recent = (-1, 0)

    def present(self, page: int, count: int) -> int:
        """How many pages from `page` on are there without a gap, at most `count`."""
        found = 0
        while found < count and page < self.pages:
            bits, at = self._bits(page // BLOCK_PAGES), page % BLOCK_PAGES
            room = min(count - found, BLOCK_PAGES - at)
            # The lowest bit that is clear ends the run.
            clear = ~(bits >> at) & ((1 << room) - 1)
            run = (clear & -clear).bit_length() - 1 if clear else room
            found += run
            page += run
            if run < room:
                break
        return found

    def rank(self, page: int) -> int:
        """How many pages below `page` are there."""
        block, at = divmod(page, BLOCK_PAGES)
        below = self._bits(block) & ((1 << at) - 1) if at else 0
        return self._ranks[block] + below.bit_count()

    def runs(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
        """Pages `[first, last)` that are there without a gap, within `[start, end)`."""
        end = self.pages if end is None else end
        first = last = -1
        for low, high in self._pieces(start, end):
            low, high = max(low, start), min(high, end)
            if low >= high:
                continue
            if low == last:
                last = high
                continue
            if first >= 0:
                yield first, last
            first, last = low, high
        if first >= 0:
            yield first, last

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """As `runs`, but a run may come in several pieces, and begin or end outside."""
        for at, data in self._stretches(start // 8, -(-end // 8)):
            for match in _RUNS.finditer(data):
                page = (at + match.start()) * 8
                if match[0][0] == 0xFF:
                    yield page, page + 8 * len(match[0])
                else:
                    yield from ((page + low, page + high) for low, high in _BYTE_RUNS[match[0][0]])

    def _count(self) -> array[int]:
        counts = array("Q", bytes(8 * (-(-self._size // BLOCK) + 1)))
        for at, data in self._stretches(0, self._size):
            for start in range(0, len(data), BLOCK):
                bits = int.from_bytes(data[start : start + BLOCK], "little")
                counts[(at + start) // BLOCK + 1] = bits.bit_count()
        return array("Q", accumulate(counts))

    def _stretches(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Bytes `[start, end)` of the bitmap by position, but for holes of the file."""
        done = start // BLOCK * BLOCK
        for low, high in self._source.data_ranges(self._offset + done, self._offset + end):
            # Whole blocks, as each has one count.
            at = max(done, (low - self._offset) // BLOCK * BLOCK)
            stop = min(self._size, -(-(high - self._offset) // BLOCK) * BLOCK)
            for position in range(at, stop, _STRETCH):
                yield position, self._bytes(position, min(_STRETCH, stop - position))
            done = max(done, stop)

    def _bits(self, block: int) -> int:
        if self._recent[0] != block:
            size = min(BLOCK, self._size - block * BLOCK)
            data = self._bytes(block * BLOCK, size) if size > 0 else b""
            self._recent = (block, int.from_bytes(data, "little"))
        return self._recent[1]

    def _bytes(self, position: int, size: int) -> bytes:
        """Bytes of the bitmap; bits behind its last page are cleared."""
        data = self._source.read(self._offset + position, size)
        spare = (position + size) * 8 - self.pages
        if spare > 0:
            data = data[:-1] + bytes([data[-1] & (0xFF >> spare)])
        return data


def _byte_runs(byte: int) -> tuple[tuple[int, int], ...]:
    bits = [bit for bit in range(8) if byte >> bit & 1]
    starts = [bit for bit in bits if bit - 1 not in bits]
    ends = [bit + 1 for bit in bits if bit + 1 not in bits]
    return tuple(zip(starts, ends, strict=True))


_BYTE_RUNS = [_byte_runs(byte) for byte in range(256)]
