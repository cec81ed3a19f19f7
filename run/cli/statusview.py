# SPDX-License-Identifier: MIT
"""The status of labs, for people: plain fields in, a rich renderable out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ntbdbg.lab.manifest import DEFAULT_LAB
from run.lab.status import GuestStatus, LabStatus, ago, duration

_STYLES = {"running": "green", "panicked": "bold red", "ended": "red", "paused": "yellow"}
MIB = 1 << 20


@dataclass(frozen=True)
class LabView:
    """One lab.

    :param now: seconds since the epoch
    """

    lab: LabStatus
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._title()
        yield Padding(self._table(), (0, 0, 0, 2), expand=False)
        for guest in self.lab.guests:
            gone = "" if guest.ram_kept else " (gone)"
            yield Text(f"  {guest.name} RAM: {guest.ram}{gone}", overflow="fold")
        for guest in self.lab.guests:
            if guest.debugger is not None:
                yield Text(f"  {guest.name} is held by gdb (process {guest.debugger})", "yellow")
        if self.lab.link:
            yield self._link()
        for guest in self.lab.guests:
            yield from self._ending(guest)

    def _title(self) -> Text:
        words = Text.assemble("lab ", (self.lab.name, "bold"), f": {self.lab.state}")
        words.append(f", started {ago(self.lab.created, self.now)}")
        if not self.lab.launcher_runs and self.lab.state != "stopped":
            words.append("; its launcher was killed, 'python3 run stop' cleans up", "yellow")
        return words

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("guest", "state", "pid", "up", "ssh", "console", "RAM"):
            table.add_column(name, no_wrap=True)
        for guest in self.lab.guests:
            table.add_row(*self._row(guest))
        return table

    def _row(self, guest: GuestStatus) -> list[RenderableType]:
        alive = guest.uptime is not None
        return [
            guest.name,
            Text(guest.state, _STYLES.get(guest.state, "yellow")),
            str(guest.pid) if alive else "-",
            duration(guest.uptime) if guest.uptime is not None else "-",
            str(guest.ssh_port) if alive and guest.ssh_port else "-",
            str(guest.console_port) if alive and guest.console_port else "-",
            f"{guest.ram_size // MIB} MiB",
        ]

    def _ending(self, guest: GuestStatus) -> Iterator[RenderableType]:
        """How a guest ended or panicked, and its last words."""
        if guest.how is None and guest.state not in ("panicked", "guest-panicked"):
            return
        when = f" {ago(guest.ended, self.now)}" if guest.ended else ""
        what = f"{guest.how}{when}" if guest.how else "panicked; it stays to be looked at"
        yield Text(f"  {guest.name} {what}", "bold")
        if guest.how and self.lab.launcher_runs and self.lab.state != "stopped":
            yield Text(f"    'python3 run start {guest.number}{self._name()}' starts it again")
        for source, lines in (("QEMU", guest.log_tail), ("console", guest.console_tail)):
            for line in lines:
                yield Text(f"    {source + ':':<9}{line}", "dim", overflow="fold")

    def _name(self) -> str:
        return "" if self.lab.name == DEFAULT_LAB else f" --name {self.lab.name}"

    def _link(self) -> Text:
        link = self.lab.link
        assert link is not None
        runs = f"pid {link.server_pid}" if link.server_runs else "gone"
        return Text(f"  link: ivshmem-server {runs}, shared page {link.shared_page}")
