# SPDX-License-Identifier: MIT
"""A lab at a glance, as text and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ntbdbg.memory.number import format_size
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.target.summary import CaptureSummary, GuestSummary, LabSummary

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
            yield _line(f"lab {lab.name}, {lab.state}: {lab.path} ({lab.how})")
        else:
            yield _line(printable(lab.how))
        yield _guest_table(lab.guests)
        page = lab.shared_page
        yield _line(f"link: shared page {page}" if page else "link: none")
        kernels = [f"{guest.name} {guest.release}" for guest in lab.guests if guest.release]
        if kernels:
            yield _line(printable(f"kernels: {', '.join(kernels)}"))
        if lab.frozen:
            yield _line(f"frozen: {', '.join(lab.frozen)}; 'ntbdbg resume' lets them run")


def summary_facts(lab: LabSummary) -> dict[str, Any]:
    """The same for JSON."""
    capture = lab.capture and lab.capture._asdict()
    guests = [guest._asdict() for guest in lab.guests]
    return {**lab._asdict(), "guests": guests, "capture": capture}


def _capture_lines(lab: LabSummary, capture: CaptureSummary) -> Iterator[Text]:
    when = datetime.fromtimestamp(capture.moment).astimezone()
    kind = "packed capture" if capture.packed else "capture"
    yield _line(printable(f"{kind} {lab.path} of lab {lab.name}, {lab.state}"))
    took = f"guests stood still for {capture.standstill * 1e3:.0f} ms"
    if not capture.standstill:
        took = "no guest had to be stopped" if capture.consistent else "guests ran meanwhile"
    told = f"taken {when:%Y-%m-%d %H:%M:%S.%f %z}, {took}; {capture.reason} ({capture.program})"
    yield _line(printable(told))
    if not capture.consistent:
        yield _line("not consistent: what is in it may be from different moments")
    for note in capture.notes:
        yield _line(printable(note))


def _guest_table(guests: tuple[GuestSummary, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("GUEST", "STATE", "MACHINE", "PORT", "PID", "SSH"):
        table.add_column(title, no_wrap=True)
    for title in ("RAM", "ALLOCATED"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("RAM FILE", overflow="fold")
    for guest in guests:
        table.add_row(
            guest.name,
            Text(printable(guest.state), _STYLES.get(guest.state, "")),
            *(_or_dash(v) for v in (guest.machine, guest.port, guest.pid, guest.ssh_port)),
            format_size(guest.ram),
            "-" if guest.allocated is None else format_size(guest.allocated),
            printable(guest.problem or guest.path),
        )
    return table


def _line(text: str) -> Text:
    """A line that a narrow terminal wraps by itself, so that a path can be copied."""
    return Text(text, no_wrap=True, overflow="ignore")


def _or_dash(value: object) -> str:
    return "-" if value is None else printable(str(value))
