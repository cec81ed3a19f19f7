# SPDX-License-Identifier: MIT
"""Geometry of the sequence diagram: a column for each port, time runs down.

Each event is a row, at its port's line; an arrow leads from a doorbell or message that was sent to
how it came in. Doorbells that were set already bring nothing, so no arrow leads from them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.ntb.kinds import Kind
from ntbdbg.ntb.told import Teller, stamp
from ntbdbg.render.events import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ntbdbg.ntb.recorder import Event

COLUMN, LEFT, TOP, ROW = 420, 110, 46, 22
FOOT = 16
LABEL_SPACE = 12
QUIET = frozenset({Kind.WOKEN, Kind.KICK})
"""Kinds that say only how others came about."""

CAME = frozenset({Kind.DB_IN, Kind.MSG_IN})


@dataclass(frozen=True)
class Row:
    """An event: where its port's line is, and how far down.

    :ivar bad: whether something did not happen that should have
    """

    x: float
    y: float
    time: str
    text: str
    bad: bool

    @property
    def label_x(self) -> float:
        """Where its words begin."""
        return self.x + LABEL_SPACE


@dataclass(frozen=True)
class Arrow:
    """From what was sent to what came in."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Diagram:
    """All of it, ready to draw. `lines` are a port's name and the x of its line."""

    width: float
    height: float
    lines: tuple[tuple[str, float], ...]
    rows: tuple[Row, ...]
    arrows: tuple[Arrow, ...]


def draw_sequence(
    events: Sequence[Event], names: Mapping[int, str], teller: Teller | None = None
) -> Diagram:
    """Lay out the diagram.

    :param events: in the order of time
    :param names: by partition, the guest
    :param teller: puts events into words
    """
    shown = [event for event in events if event.kind not in QUIET]
    teller = teller or Teller(names)
    parts = sorted({*names, *(event.partition for event in shown)})
    place = {part: LEFT + index * COLUMN for index, part in enumerate(parts)}
    at = [TOP + ROW * (index + 1) for index in range(len(shown))]
    rows = tuple(
        Row(
            place[event.partition],
            y,
            stamp(event.first_ns),
            teller.words(event),
            event.kind in TROUBLE,
        )
        for event, y in zip(shown, at, strict=True)
    )
    arrows = tuple(Arrow(rows[a].x, rows[a].y, rows[b].x, rows[b].y) for a, b in _arrivals(shown))
    lines = tuple((teller.name(part), float(place[part])) for part in parts)
    width = LEFT + max(1, len(parts)) * COLUMN
    return Diagram(width, TOP + ROW * (len(rows) + 1) + FOOT, lines, rows, arrows)


def _arrivals(events: Sequence[Event]) -> Iterator[tuple[int, int]]:
    """Pairs of what was sent and what came of it, by their places in `events`."""
    came = [(place, event) for place, event in enumerate(events) if event.kind in CAME]
    for place, sent in enumerate(events):
        for target in _targets(sent):
            found = (at for at, event in came if _is_of(event, sent, target))
            yield from ((place, at) for at in itertools.islice(found, 1))


def _is_of(event: Event, sent: Event, target: int) -> bool:
    """Whether `event` may be how `sent` came in at `target`; it may have been folded before."""
    if event.partition != target or event.last_ns < sent.first_ns:
        return False
    if sent.kind == Kind.DB_SENT:
        return event.kind == Kind.DB_IN and bool(event.a & sent.a & ~sent.b)
    return event.kind == Kind.MSG_IN and event.num == sent.num


def _targets(event: Event) -> list[int]:
    if event.kind == Kind.DB_SENT:
        return [part for part in range(32) if event.num >> part & 1]
    return [event.peer] if event.kind == Kind.MSG_SENT and event.peer is not None else []
