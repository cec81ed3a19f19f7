# SPDX-License-Identifier: MIT
"""A lab at a glance, as text and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from ntbdbg.render.table import facts_table, plain_table, whole_line
from ntbdbg.render.text import printable
from ntbdbg.units import format_size, short_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from ntbdbg.analysis.summary import CaptureSummary, GuestSummary, LabSummary

MOST_WRAPPED = 16
"""Characters of its path that a file has room for in a line at least."""

_STYLES = {"running": "green", "dead": "red", "paused": "yellow"}


class LabView:
    """The lab's name and origin, then its guests as a table, then the link."""

    def __init__(self, lab: LabSummary) -> None:
        self.lab = lab

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lab = self.lab
        if lab.capture:
            yield from _capture_lines(lab, lab.capture)
        elif lab.path:
            yield whole_line(f"lab {lab.name}, {lab.state}: {lab.path} ({lab.how})")
        else:
            yield whole_line(printable(lab.how))
        if _table_fits(lab.guests, options.max_width):
            yield _guest_table(lab.guests)
        else:
            yield from _guest_blocks(lab.guests)
        page = lab.shared_page
        yield whole_line(f"link: shared page {page}" if page else "link: none")
        kernels = [f"{guest.name} {guest.release}" for guest in lab.guests if guest.release]
        if kernels:
            yield whole_line(printable(f"kernels: {', '.join(kernels)}"))
        for guest in lab.guests:
            if guest.debugger is not None:
                yield whole_line(f"gdb: process {guest.debugger} holds {guest.name}")
        if lab.frozen:
            yield whole_line(f"frozen: {', '.join(lab.frozen)}; 'ntbdbg resume' lets them run")


def summary_facts(lab: LabSummary) -> dict[str, Any]:
    """The same for JSON."""
    capture = lab.capture and lab.capture._asdict()
    guests = [guest._asdict() for guest in lab.guests]
    return {**lab._asdict(), "guests": guests, "capture": capture}


def _capture_lines(lab: LabSummary, capture: CaptureSummary) -> Iterator[Text]:
    when = datetime.fromtimestamp(capture.moment).astimezone()
    kind = "packed capture" if capture.packed else "capture"
    yield whole_line(printable(f"{kind} {lab.path} of lab {lab.name}, {lab.state}"))
    took = f"guests stood still for {capture.standstill * 1e3:.0f} ms"
    if not capture.standstill:
        took = "no guest had to be stopped" if capture.consistent else "guests ran meanwhile"
    told = f"taken {when:%Y-%m-%d %H:%M:%S.%f %z}, {took}; {capture.reason} ({capture.program})"
    yield whole_line(printable(told))
    if not capture.consistent:
        yield whole_line("not consistent: what is in it may be from different moments")
    for note in capture.notes:
        yield whole_line(printable(note))


def _guest_table(guests: tuple[GuestSummary, ...]) -> Table:
    table = plain_table(*_TITLES, right=("RAM", "ALLOCATED"))
    for guest in guests:
        table.add_row(*_cells(guest))
    return table


def _table_fits(guests: tuple[GuestSummary, ...], width: int) -> bool:
    """Whether all columns are shown whole; the last one may wrap."""
    rows = [_TITLES, *(tuple(map(str, _cells(guest))) for guest in guests)]
    columns = list(zip(*rows, strict=True))[:-1]
    return sum(2 + max(map(len, column)) for column in columns) + MOST_WRAPPED <= width


def _guest_blocks(guests: tuple[GuestSummary, ...]) -> Iterator[RenderableType]:
    """The same where a line has not room for it: a block for each guest."""
    for guest in guests:
        name, *cells = _cells(guest)
        yield Text(str(name), style="bold")
        rows = zip((title.lower() for title in _TITLES[1:]), cells, strict=True)
        yield Padding(facts_table(row for row in rows if str(row[1]) != "-"), (0, 0, 0, 2))


_TITLES = ("GUEST", "STATE", "MACHINE", "PORT", "PID", "SSH", "RAM", "ALLOCATED", "RAM FILE")


def _cells(guest: GuestSummary) -> list[str | Text]:
    return [
        guest.name,
        Text(printable(guest.state), _STYLES.get(guest.state, "")),
        *(_or_dash(v) for v in (guest.machine, guest.port, guest.pid, guest.ssh_port)),
        format_size(guest.ram),
        "-" if guest.allocated is None else short_size(guest.allocated),
        printable(guest.problem or guest.path),
    ]


def _or_dash(value: object) -> str:
    return "-" if value is None else printable(str(value))
