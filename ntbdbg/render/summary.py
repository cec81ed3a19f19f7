# SPDX-License-Identifier: MIT
"""A lab at a glance, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ntbdbg.memory.number import format_size
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.target.summary import GuestSummary, LabSummary

_STYLES = {"running": "green", "dead": "red", "paused": "yellow"}


class LabView:
    """The lab's name and origin, then its guests as a table, then the link."""

    def __init__(self, lab: LabSummary) -> None:
        self.lab = lab

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lab = self.lab
        if lab.path:
            yield _line(f"lab {lab.name}, {lab.state}: {lab.path} ({lab.how})")
        else:
            yield _line(printable(lab.how))
        yield _guest_table(lab.guests)
        page = lab.shared_page
        yield _line(f"link: shared page {page}" if page else "link: none")
        if lab.frozen:
            yield _line(f"frozen: {', '.join(lab.frozen)}; 'ntbdbg resume' lets them run")


def summary_facts(lab: LabSummary) -> dict[str, Any]:
    """The same for JSON."""
    return {**lab._asdict(), "guests": [guest._asdict() for guest in lab.guests]}


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
