# SPDX-License-Identifier: MIT
"""A set of pages that grows: few of many, or all of them, in memory for one bit each."""

from __future__ import annotations

from collections.abc import Iterator

from ntbdbg.memory.base import Losses

BLOCK = 1 << 15
"""Pages whose bits are one number."""


class PageSet:
    """Numbers of pages.

    :ivar total: how many there are
    """

    def __init__(self) -> None:
        self._blocks: Losses = {}
        self._new: Losses = {}
        self.total = 0

    def __contains__(self, page: int) -> bool:
        block, at = divmod(page, BLOCK)
        return bool(self._blocks.get(block, 0) >> at & 1)

    def add(self, page: int) -> None:
        """Take `page` in."""
        if page not in self:
            block, at = divmod(page, BLOCK)
            self._new[block] = self._new.get(block, 0) | 1 << at
            self.update({block: 1 << at})

    def update(self, losses: Losses) -> None:
        """Take in what `take_new` of another set gave."""
        for block, bits in losses.items():
            old = self._blocks.get(block, 0)
            self._blocks[block] = old | bits
            self.total += (bits & ~old).bit_count()

    def take_new(self) -> Losses:
        """What was added since the last call."""
        new, self._new = self._new, {}
        return new

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Pages `[first, last)` of it in a row, within `[start, end)`; cut where a block ends."""
        for block in sorted(b for b in self._blocks if start < (b + 1) * BLOCK and b * BLOCK < end):
            base = block * BLOCK
            bits = self._blocks[block] & ((1 << max(0, end - base)) - 1)
            bits = bits >> max(0, start - base) << max(0, start - base)
            while bits:
                first = (bits & -bits).bit_length() - 1
                last = first + ((~(bits >> first)) & ((bits >> first) + 1)).bit_length() - 1
                yield base + first, base + last
                bits = bits >> last << last
