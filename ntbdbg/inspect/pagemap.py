# SPDX-License-Identifier: MIT
"""What every page of a memory holds, roughly, and which pages differ between two of them.

Meant for pictures: a guest of 256 MiB has 65,536 pages, which a person sees at once only as
colours. Larger memories are told in cells of several pages, so that the answer stays small
however much RAM a file claims to have.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ntbdbg.inspect.diff import common_spans, differing_pages
from ntbdbg.memory.formats.content import padded
from ntbdbg.memory.segments import AddressRange
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ntbdbg.memory.base import PhysicalMemory

BLOCK = 4 << 20
"""Bytes read at once."""

MAX_CELLS = 1 << 18
"""Cells of all stretches together, at most; small gaps may add some."""

SMALL_GAP = 1 << 20
"""Holes smaller than this (the VGA hole) do not part a picture; they look untouched."""

SPARSE = PAGE // 4
"""Up to so many bytes of a page that are not zero, it counts as sparse."""

Progress = Callable[[int, int], None]


class Usage(enum.IntEnum):
    """What a cell holds: that of its fullest page."""

    UNTOUCHED = 0
    """The host never gave memory to it: the guest never wrote there."""
    ZERO = 1
    """Touched, all zeros."""
    SPARSE = 2
    """Some bytes are not zero, at most a quarter."""
    DENSE = 3
    """More than that."""


@dataclass(frozen=True)
class PageMap:
    """One stretch of RAM, cell by cell.

    :ivar range: guest-physical, see `stretches`
    :ivar cell: bytes that a cell stands for, a multiple of the page size
    :ivar cells: (n,) uint8, values of `Usage`, or counts of changed pages (at most 255)
    """

    range: AddressRange
    cell: int
    cells: NDArray[np.uint8]


def cell_size(memory: PhysicalMemory) -> int:
    """Bytes per cell with which `memory` has at most `MAX_CELLS` of them."""
    size = PAGE
    total = sum(segment.size for segment in memory.segments)
    while total // size > MAX_CELLS:
        size *= 2
    return size


def stretches(memory: PhysicalMemory) -> list[AddressRange]:
    """Runs of RAM, joined where only a small hole is between them."""
    joined: list[AddressRange] = []
    for run in memory.segments.runs():
        if joined and run.start - joined[-1].end < SMALL_GAP:
            joined[-1] = AddressRange(joined[-1].start, run.end)
        else:
            joined.append(run)
    return joined


def page_usage(memory: PhysicalMemory, progress: Progress | None = None) -> list[PageMap]:
    """What each stretch of RAM holds; holes of a sparse file are not read.

    :param progress: called with bytes done and bytes in all
    :raises TargetError: the memory vanished, shrank or was replaced meanwhile
    """
    cell = cell_size(memory)
    runs = stretches(memory)
    total, done = sum(run.size for run in runs), 0
    maps = []
    for run in runs:
        cells = _cells(run, cell)
        for part in _blocks(memory, run):
            kinds = _classify(padded(memory, part.start, part.end))
            pages = (part.start - run.start) // PAGE + np.arange(len(kinds))
            np.maximum.at(cells, pages * PAGE // cell, kinds)
            if progress:
                progress(done + part.end - run.start, total)
        done += run.size
        maps.append(PageMap(run, cell, cells.astype(np.uint8)))
    return maps


def page_changes(
    old: PhysicalMemory, new: PhysicalMemory, progress: Progress | None = None
) -> list[PageMap]:
    """How many pages of each cell of `new` differ from `old`; errors as `differing_pages`."""
    cell = cell_size(new)
    runs = stretches(new)
    counts = [_cells(run, cell) for run in runs]
    for page in differing_pages(old, new, common_spans(old, new), progress):
        for run, changed in zip(runs, counts, strict=True):
            if page.b in run:
                changed[(page.b - run.start) // cell] += 1
    return [
        PageMap(run, cell, np.minimum(changed, 255).astype(np.uint8))
        for run, changed in zip(runs, counts, strict=True)
    ]


def _cells(run: AddressRange, cell: int) -> NDArray[np.uint32]:
    return np.zeros(-(-run.size // cell), np.uint32)


def _blocks(memory: PhysicalMemory, run: AddressRange) -> Iterator[AddressRange]:
    """The touched parts of `run`, in whole pages counted from its start, a block at a time."""
    for extent in memory.extents(run):
        start = extent.start - (extent.start - run.start) % PAGE
        end = min(run.end, extent.end + -(extent.end - run.start) % PAGE)
        for at in range(start, end, BLOCK):
            yield AddressRange(at, min(at + BLOCK, end))


def _classify(data: bytes) -> NDArray[np.uint8]:
    """`Usage` of each page of `data`; a short last page is taken as if zeros followed."""
    whole = data if len(data) % PAGE == 0 else data + bytes(-len(data) % PAGE)
    pages = np.frombuffer(whole, np.uint8).reshape(-1, PAGE)
    filled = np.count_nonzero(pages, axis=1)
    kinds = np.full(len(pages), Usage.ZERO, np.uint8)
    kinds[filled > 0] = Usage.SPARSE
    kinds[filled > SPARSE] = Usage.DENSE
    return kinds
