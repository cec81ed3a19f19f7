# SPDX-License-Identifier: MIT
"""The sequence diagram: a row for each event, an arrow from what was sent to what came of it."""

from __future__ import annotations

from ntbdbg.ntb.kinds import Kind, Quiet
from ntbdbg.ntb.recorder import Event
from ntbdbg.render.report.sequence import COLUMN, LEFT, draw_sequence

NAMES = {0: "qemu1", 1: "qemu2"}


def event(ns: int, part: int, kind: Kind, **values: int | None) -> Event:
    given = {"num": 0, "a": 1, "b": 0, "peer": None, "times": 1, "last_ns": ns} | values
    return Event(partition=part, lane=0, number=0, first_ns=ns, kind=kind, **given)  # type: ignore[arg-type]


def test_a_row_for_each_event_at_its_port() -> None:
    drawn = draw_sequence(
        [
            event(1, 0, Kind.DB_SENT, num=2),
            event(2, 0, Kind.KICK, peer=1),
            event(3, 1, Kind.WOKEN),
            event(4, 1, Kind.DB_IN),
            event(5, 1, Kind.QUIET, num=Quiet.TOLD, a=2),
        ],
        NAMES,
    )
    assert drawn.lines == (("qemu1", LEFT), ("qemu2", LEFT + COLUMN))
    assert [(row.x, row.text, row.bad) for row in drawn.rows] == [
        (LEFT, "rings doorbells 0x1 at qemu2", False),
        (LEFT + COLUMN, "doorbells 0x1 come in", False),
        (LEFT + COLUMN, "no interrupt for DBELL: an earlier one is not answered yet", True),
    ]
    assert [row.y for row in drawn.rows] == sorted({row.y for row in drawn.rows})
    (arrow,) = drawn.arrows
    assert (arrow.x1, arrow.y1) == (drawn.rows[0].x, drawn.rows[0].y)
    assert (arrow.x2, arrow.y2) == (drawn.rows[1].x, drawn.rows[1].y)
    assert drawn.height > drawn.rows[-1].y


def test_what_was_lost_has_no_arrow() -> None:
    drawn = draw_sequence(
        [event(1, 0, Kind.FAULT, num=1), event(2, 1, Kind.MSG_SENT, peer=0, num=3)], NAMES
    )
    assert drawn.arrows == ()
    assert drawn.rows[0].bad


def test_two_doorbells_that_come_in_as_one() -> None:
    """The second was folded into the row of the first, which stands above it."""
    drawn = draw_sequence(
        [
            event(1, 0, Kind.DB_SENT, num=2, a=1),
            event(2, 1, Kind.DB_IN, a=3, times=2, last_ns=4),
            event(3, 0, Kind.DB_SENT, num=2, a=2),
        ],
        NAMES,
    )
    assert [(arrow.y1, arrow.y2) for arrow in drawn.arrows] == [
        (drawn.rows[0].y, drawn.rows[1].y),
        (drawn.rows[2].y, drawn.rows[1].y),
    ]


def test_a_doorbell_that_was_set_already_brings_nothing() -> None:
    drawn = draw_sequence(
        [event(1, 0, Kind.DB_SENT, num=2, a=1, b=1), event(2, 1, Kind.DB_IN, a=1)], NAMES
    )
    assert drawn.arrows == ()


def test_a_message_and_how_it_came_in() -> None:
    drawn = draw_sequence(
        [
            event(1, 0, Kind.MSG_SENT, peer=1, num=2, a=7),
            event(2, 1, Kind.MSG_IN, peer=0, num=1, a=9),
            event(3, 1, Kind.MSG_IN, peer=0, num=2, a=7),
        ],
        NAMES,
    )
    (arrow,) = drawn.arrows
    assert arrow.y2 == drawn.rows[2].y


def test_nothing_recorded() -> None:
    assert draw_sequence([], NAMES).rows == ()
