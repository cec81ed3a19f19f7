# SPDX-License-Identifier: MIT
"""The link's story as lines, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ntbdbg.ntb.kinds import Kind
from ntbdbg.ntb.kindwords import GROUP_OF, word_of
from ntbdbg.ntb.recorder import LANES
from ntbdbg.ntb.told import stamp
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.text import Text

    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.kernel.log.ring import LogRecord
    from ntbdbg.ntb.recorder import Event

STYLES = {
    "doorbell": "cyan",
    "message": "magenta",
    "interrupt": "yellow",
    "wakeup": "dim",
    "window": "green",
    "link": "blue",
    "register": "",
    "machine": "bold",
}
TROUBLE = frozenset({Kind.MSG_REFUSED, Kind.QUIET, Kind.FAULT, Kind.PEER_GONE})


class Line(NamedTuple):
    """One line of the story.

    :param ns: CLOCK_MONOTONIC of the host
    """

    ns: int
    guest: str
    words: str
    style: str = ""

    def plain(self, mark: str = "") -> str:
        """``    12.345678 qemu1  rings doorbells 0x1 at qemu2``."""
        return f"{mark}{stamp(self.ns):>14} {self.guest:<6} {printable(self.words)}"

    def styled(self, mark: str = "") -> Text:
        """The same with colours."""
        from rich.text import Text

        text = (
            Text(mark).append(f"{stamp(self.ns):>14}", "dim").append(f" {self.guest:<6} ", "bold")
        )
        text.append(printable(self.words), self.style)
        text.no_wrap, text.overflow = True, "ignore"
        return text


def event_line(event: Event, story: Recorded) -> Line:
    """An event as a line."""
    style = "red" if event.kind in TROUBLE else STYLES.get(GROUP_OF.get(event.kind, ""), "")  # type: ignore[call-overload]
    words = story.teller.words(event)
    return Line(event.first_ns, story.name(event.partition), words, style)


def log_lines(record: LogRecord, guest: str, ns: int) -> list[Line]:
    """A record of a kernel's log as lines."""
    return [Line(ns, guest, f"| {text}", "dim") for _, text in record.lines()]


def event_facts(event: Event, story: Recorded) -> dict[str, Any]:
    """The document of ``events --json`` (docs/json.md)."""
    record = story.story.records[event.partition]
    real = event.first_ns - record.mono_ns + record.real_ns if record.real_ns else None
    return {
        "guest": story.name(event.partition),
        "partition": event.partition,
        "lane": LANES[event.lane],
        "number": event.number,
        "event": word_of(event.kind),
        "group": GROUP_OF.get(event.kind),  # type: ignore[call-overload]
        "first_ns": event.first_ns,
        "last_ns": event.last_ns,
        "realtime_ns": real,
        "times": event.times,
        "peer": None if event.peer is None else story.name(event.peer),
        "num": event.num,
        "a": event.a,
        "b": event.b,
        "text": story.teller.words(event),
    }


def log_facts(record: LogRecord, guest: str, ns: int, error_ns: int | None) -> dict[str, Any]:
    """The document of a record of a kernel's log between events."""
    return {
        "guest": guest,
        "host_ns": ns,
        "error_ns": error_ns,
        "time_ns": record.time_ns,
        "level": record.level,
        "text": record.text,
    }
