# SPDX-License-Identifier: MIT
"""Geometry of the picture of all address spaces and the windows between them.

Every guest is a column of boxes, address 0 at its foot. Sizes go from 4 KiB to many GiB, so a
box's height follows the logarithm of what it stands for; inside a box, places are to scale.
A window is a band from its slot in its owner's PCI hole to the RAM that it reaches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.memory.segments import AddressRange
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.ntb.model import Link, MemoryWindow

COLUMN = 190
GAP = 210
TOP, LEFT, FOOT = 46, 118, 24
GAP_HEIGHT = 22
MIN_BAND = 5.0


@dataclass(frozen=True)
class Box:
    """A stretch of one guest's address space.

    :ivar kind: ``ram``, ``bar``, ``hole``
    :ivar open: for a BAR, whether one of its windows is
    :ivar outer: whether addresses stand at its right side, where no band is
    """

    guest: str
    kind: str
    range: AddressRange
    label: str
    x: float
    y: float
    width: float
    height: float
    open: bool = False
    outer: bool = False

    @property
    def label_x(self) -> float:
        """Where its address stands, beside its foot."""
        return self.x + self.width + 6 if self.outer else self.x - 6

    def level(self, address: int) -> float:
        """The y of an address inside the box, higher addresses further up."""
        part = (address - self.range.start) / max(1, self.range.size)
        return self.y + self.height * (1 - min(1.0, max(0.0, part)))


@dataclass(frozen=True)
class Band:
    """A window, or a piece of one, as a four-cornered shape with curved sides.

    :ivar path: of an SVG ``<path>``
    :ivar label: what it is, for a tooltip
    """

    path: str
    label: str
    name: str
    open: bool


@dataclass(frozen=True)
class Picture:
    """All of it, ready to draw. `titles` are guest and x of its column's middle."""

    width: float
    height: float
    titles: tuple[tuple[str, float], ...]
    boxes: tuple[Box, ...]
    bands: tuple[Band, ...]


def draw(
    guests: Mapping[str, Sequence[AddressRange]], link: Link | None, names: Mapping[int, str]
) -> Picture:
    """Lay out the picture.

    :param guests: by name, in order: runs of RAM
    :param names: by partition, the guest
    """
    columns = {name: list(_areas(name, runs, link, names)) for name, runs in guests.items()}
    tallest = max((sum(h for *_, h in column) for column in columns.values()), default=0.0)
    boxes: list[Box] = []
    titles: list[tuple[str, float]] = []
    for index, (name, column) in enumerate(columns.items()):
        x = LEFT + index * (COLUMN + GAP)
        last = index == len(columns) - 1 > 0
        titles.append((name, x + COLUMN / 2))
        y = TOP + tallest
        for kind, area, label, is_open, height in column:
            y -= height
            boxes.append(Box(name, kind, area, label, x, y, COLUMN, height, is_open, last))
    width = LEFT + len(columns) * COLUMN + max(0, len(columns) - 1) * GAP + LEFT
    bands = tuple(_bands(boxes, link, names)) if link else ()
    return Picture(width, TOP + tallest + FOOT, tuple(titles), tuple(boxes), bands)


Area = tuple[str, AddressRange, str, bool, float]


def _areas(
    name: str, runs: Sequence[AddressRange], link: Link | None, names: Mapping[int, str]
) -> Iterator[Area]:
    """Boxes of one guest from address 0 upwards: RAM, BARs, and what lies between."""
    bars = list(_bars(name, link, names)) if link else []
    parts = [("ram", run, f"RAM {format_size(run.size)}", False) for run in runs] + bars
    end = 0
    for kind, area, label, is_open in sorted(parts, key=lambda part: part[1].start):
        if area.start > end:
            yield "hole", AddressRange(end, area.start), "", False, GAP_HEIGHT
        if area.end <= end:
            continue  # a guest may have mapped a BAR over its RAM, or two over each other
        shown = AddressRange(max(area.start, end), area.end)
        yield kind, shown, label, is_open, _height(kind, shown.size)
        end = area.end


def _height(kind: str, size: int) -> float:
    steps = max(0.0, math.log2(max(size, 1)) - 12)  # doublings above a page
    return 30 + (7.0 if kind == "ram" else 3.2) * steps


def _bars(
    name: str, link: Link, names: Mapping[int, str]
) -> Iterator[tuple[str, AddressRange, str, bool]]:
    """The window BARs that a guest has mapped."""
    found: dict[int, list[MemoryWindow]] = {}
    for window in link.windows:
        if names.get(window.partition) == name and window.base is not None:
            found.setdefault(window.bar, []).append(window)
    for bar, windows in found.items():
        start = min(window.base or 0 for window in windows)
        end = max((window.base or 0) + window.aperture for window in windows)
        kind = windows[0].kind.value
        many = f"mw{windows[0].index}" + (f"-mw{windows[-1].index}" if len(windows) > 1 else "")
        is_open = any(window.is_open for window in windows)
        yield "bar", AddressRange(start, end), f"BAR{bar} {kind}: {many}", is_open


def _bands(boxes: Sequence[Box], link: Link, names: Mapping[int, str]) -> Iterator[Band]:
    for window in link.windows:
        owner = names.get(window.partition)
        target = names.get(window.translation.partition) if window.translation else None
        if window.base is None or owner is None or target is None:
            continue
        for piece in window.reached:
            start = window.base + piece.offset
            source = _box(boxes, owner, start)
            sink = _box(boxes, target, piece.gpa)
            if source and sink:
                name = f"{owner}:mw{window.index}"
                label = f"{name} → {target}:{piece.gpa:#x}, {format_size(piece.size)}"
                if not window.is_open:
                    label += f", closed: {window.why_closed}"
                yield Band(
                    _path(source, start, sink, piece.gpa, piece.size), label, name, window.is_open
                )


def _box(boxes: Sequence[Box], guest: str, address: int) -> Box | None:
    for box in boxes:
        if box.guest == guest and address in box.range:
            return box
    return None


def _path(source: Box, start: int, sink: Box, target: int, size: int) -> str:
    """From the side of `source` that faces `sink`, thick enough to be seen at both ends."""
    rightwards = source.x < sink.x
    x0 = source.x + source.width if rightwards else source.x
    x1 = sink.x if rightwards else sink.x + sink.width
    high0, low0 = _thick(source.level(start + size), source.level(start))
    high1, low1 = _thick(sink.level(target + size), sink.level(target))
    middle = (x0 + x1) / 2
    return (
        f"M{x0:.1f} {high0:.1f} C{middle:.1f} {high0:.1f} {middle:.1f} {high1:.1f} "
        f"{x1:.1f} {high1:.1f} L{x1:.1f} {low1:.1f} C{middle:.1f} {low1:.1f} "
        f"{middle:.1f} {low0:.1f} {x0:.1f} {low0:.1f} Z"
    )


def _thick(high: float, low: float) -> tuple[float, float]:
    lacking = MIN_BAND - (low - high)
    return (high - lacking / 2, low + lacking / 2) if lacking > 0 else (high, low)
