# SPDX-License-Identifier: MIT
"""The guests of this host as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ntbdbg.render.table import plain_table
from ntbdbg.render.text import printable
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.lab.sources.hostguests import HostGuest, HostMonitor, Lies


class HostGuestTable:
    """One line a guest."""

    def __init__(self, guests: Sequence[HostGuest]) -> None:
        self.guests = guests

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        titles = ("NAME", "PID", "VMM", "RAM", "LIES IN", "MONITOR", "ACCESS", "LAB")
        table = plain_table(*titles, right=("PID", "RAM"))
        for one in self.guests:
            table.add_row(
                printable(one.name or "-"),
                str(one.pid),
                printable(f"QEMU {one.accelerator}"),
                format_size(one.ram),
                printable(" and ".join(map(_lies, one.lies))),
                printable(_monitor(one.monitor)),
                "yes" if one.readable else "root",
                printable(one.lab or "-"),
            )
        yield table


def _lies(one: Lies) -> str:
    if one.kind == "file":
        return one.path or "a file"
    if one.kind == "memfd":
        return "a file without a path (memfd)"
    return f"its own memory ({one.path} is private)" if one.path else "its own memory"


def _monitor(one: HostMonitor | None) -> str:
    if one is None:
        return "none"
    if one.libvirt:
        return "libvirt"
    return f"QMP {one.address}" + (", in use" if one.held else "")


def host_guest_facts(one: HostGuest) -> dict[str, Any]:
    """One guest for JSON."""
    return {
        "name": one.name,
        "uuid": one.uuid,
        "pid": one.pid,
        "user": one.uid,
        "vmm": "QEMU",
        "accelerator": one.accelerator,
        "ram": one.ram,
        "lies_in": [lies._asdict() for lies in one.lies],
        "monitor": one.monitor and one.monitor._asdict(),
        "readable": one.readable,
        "lab": one.lab,
    }
