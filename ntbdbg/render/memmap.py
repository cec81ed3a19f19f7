# SPDX-License-Identifier: MIT
"""The memory map of a guest as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ntbdbg.inspect.memmap import RAM
from ntbdbg.render.table import plain_table
from ntbdbg.render.text import printable
from ntbdbg.units import format_size, short_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.analysis.reached import Inbound
    from ntbdbg.inspect.memmap import Area


class MemoryMap:
    """Areas of a guest's address space, and the windows of others that reach into it."""

    def __init__(self, areas: Sequence[Area], windows: Sequence[Inbound]) -> None:
        self.areas = areas
        self.windows = windows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        numbers = ("SIZE", "ALLOCATED", "FILE OFFSET")
        table = plain_table("FROM", "TO", *numbers, "WHAT", right=numbers)
        for row in self._rows():
            table.add_row(*row)
        yield table

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for area in self.areas:
            used = _allocated(area)
            offset = "" if area.offset is None else f"{area.offset:#x}"
            yield (*_ends(area.range), short_size(area.range.size), used, offset, area.kind)
            for window in self.windows:
                if area.kind == RAM and window.range.start in area.range:
                    yield self._window_row(window)

    def _window_row(self, window: Inbound) -> tuple[str, ...]:
        closed = f", closed: {printable(window.closed)}" if window.closed else ""
        what = f"  reached by {window.window}{closed}"
        return (*_ends(window.range), format_size(window.range.size), "", "", what)


def _allocated(area: Area) -> str:
    if area.allocated is None:
        return "unknown" if area.kind == RAM else ""
    return short_size(area.allocated)


def map_facts(areas: Sequence[Area], windows: Sequence[Inbound]) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "areas": [
            {
                "start": area.range.start,
                "end": area.range.end,
                "kind": area.kind,
                "offset": area.offset,
                "allocated": area.allocated,
            }
            for area in areas
        ],
        "windows": [
            {
                "window": window.window,
                "start": window.range.start,
                "end": window.range.end,
                "open": not window.closed,
                "closed": window.closed or None,
            }
            for window in windows
        ],
    }


def _ends(span: tuple[int, int]) -> tuple[str, str]:
    return f"{span[0]:#011x}", f"{span[1] - 1:#011x}"
