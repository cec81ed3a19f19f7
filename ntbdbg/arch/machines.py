# SPDX-License-Identifier: MIT
"""Where QEMU's machines put their RAM.

Every command asks, so this imports nothing. The rules are QEMU's own (``hw/i386/pc_q35.c`` and
``pc_piix.c``, ``pc_*_init``): RAM that does not fit below the PCI hole continues at 4 GiB, and
goes on in the file where the low part ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Range(NamedTuple):
    """RAM at guest-physical `[start, end)`; its first byte lies at `offset` of the RAM file."""

    start: int
    end: int
    offset: int


class Machine(NamedTuple):
    """Where one of QEMU's machines puts RAM that lies in one file.

    :ivar name: as in ``-machine``
    :ivar types: what QEMU's names of its types begin with
    :ivar base: where RAM begins
    :ivar split: bytes of RAM from which on a part of it lies elsewhere; None if none ever does
    :ivar low: bytes that stay at `base` then
    :ivar high: where the others are
    :ivar holes: never RAM to a guest, though the file has bytes there
    """

    name: str
    types: tuple[str, ...]
    base: int = 0
    split: int | None = None
    low: int = 0
    high: int = 0
    holes: tuple[tuple[int, int], ...] = ()

    def ranges(self, size: int) -> tuple[Range, ...]:
        """Where `size` bytes of RAM are, in order."""
        if self.split is None or size < self.split:
            whole = [Range(self.base, self.base + size, 0)]
        else:
            whole = [
                Range(self.base, self.base + self.low, 0),
                Range(self.high, self.high + size - self.low, self.low),
            ]
        return visible(whole, self.holes)


def visible(ranges: Iterable[Range], holes: Iterable[tuple[int, int]]) -> tuple[Range, ...]:
    """`ranges` without what lies in a hole."""
    kept = list(ranges)
    for low, high in holes:
        parts = (cut for part in kept for cut in (_cut(part, 0, low), _cut(part, high, part.end)))
        kept = [part for part in parts if part.start < part.end]
    return tuple(kept)


def _cut(part: Range, start: int, end: int) -> Range:
    low = max(start, part.start)
    return Range(low, min(end, part.end), part.offset + low - part.start)


ABOVE_4G = 1 << 32
VGA_HOLE = (0xA0000, 0xC0000)
"""Never RAM to a guest, though its RAM file has bytes there. What lies above, up to 1 MiB, is
firmware's shadow: ROM to some, but backed by the same file."""

Q35 = Machine(
    "q35", ("pc-q35",), split=0xB000_0000, low=0x8000_0000, high=ABOVE_4G, holes=(VGA_HOLE,)
)
PC = Machine(
    "pc",
    ("pc-i440fx", "pc-machine"),
    split=0xE000_0000,
    low=0xC000_0000,
    high=ABOVE_4G,
    holes=(VGA_HOLE,),
)

MACHINES = {machine.name: machine for machine in (Q35, PC)}
