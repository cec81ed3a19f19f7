# SPDX-License-Identifier: MIT
"""A translation as a table of steps and what follows from it, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ntbdbg.render.pairs import pair_table
from ntbdbg.render.table import PlainTable, plain_table, whole_line
from ntbdbg.render.text import printable
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.analysis.reached import Inbound, Outbound
    from ntbdbg.analysis.translation import Translation
    from ntbdbg.kernel.mmu.paging import Walk


class TranslationView:
    """The walk, level by level, then a line for each thing known of the end of it."""

    def __init__(self, found: Translation) -> None:
        self.found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self.found
        if found.walk is not None:
            name = f"  {printable(found.symbol)}" if found.symbol else ""
            yield whole_line(f"{found.guest}: {found.walk.virtual:#x}{name}")
            yield _steps(found.walk)
        yield pair_table(self._rows())

    def _rows(self) -> Iterator[tuple[str, str]]:
        found = self.found
        if found.via:
            yield "through", found.via
        if found.walk is not None:
            yield "page", found.walk.reason or _page(found.walk)
        if found.address is None:
            return
        yield "physical", f"{found.guest}:{found.address:#x}"
        if found.path is not None:
            yield "RAM file", f"{found.path} + {found.offset:#x}"
        if found.no_ram is not None:
            yield "RAM", f"none: it {found.no_ram}"
        if found.outbound is not None:
            yield "window", _outbound(found.outbound)
        for window in found.windows:
            yield "reached by", _inbound(window, found.address)
        if not found.windows and found.path is not None:
            yield "reached by", "no window"


def translation_facts(found: Translation) -> dict[str, Any]:
    """The document of ``translate --json`` (docs/json.md)."""
    walk, out = found.walk, found.outbound
    return {
        "guest": found.guest,
        "address": walk.virtual if walk else None,
        "symbol": found.symbol,
        "via": found.via,
        "gpa": found.address,
        "steps": [
            {
                "level": step.level,
                "table": step.table,
                "index": step.index,
                "entry": step.entry,
                "flags": step.flags,
            }
            for step in (walk.steps if walk else ())
        ],
        "page": _page_facts(walk),
        "reason": walk.reason if walk else found.no_ram,
        "ram_file": {"path": found.path, "offset": found.offset} if found.path else None,
        "windows": [
            {
                "window": window.window,
                "offset": window.offset_of(found.address or 0),
                "open": not window.closed,
                "closed": window.closed or None,
            }
            for window in found.windows
        ],
        "outbound": {**out._asdict(), "closed": out.closed or None} if out else None,
    }


def _page_facts(walk: Walk | None) -> dict[str, Any] | None:
    if walk is None or walk.address is None:
        return None
    return {
        "gpa": walk.address & -walk.page_size,
        "size": walk.page_size,
        "writable": walk.writable,
        "user": walk.user,
        "executable": walk.executable,
    }


def _steps(walk: Walk) -> PlainTable:
    table = plain_table("LEVEL", "TABLE", "INDEX", "ENTRY", "FLAGS", right=("INDEX",))
    for step in walk.steps:
        entry = "not in RAM" if step.entry is None else f"{step.entry:#018x}"
        table.add_row(
            step.level, f"{step.table:#x}", str(step.index), entry, " ".join(step.flags) or "-"
        )
    return table


def _page(walk: Walk) -> str:
    start = (walk.address or 0) & -walk.page_size
    rights = [
        "writable" if walk.writable else "read-only",
        "executable" if walk.executable else "not executable",
        *(["for user mode"] if walk.user else []),
    ]
    return f"{format_size(walk.page_size)} at {start:#x}, {', '.join(rights)}"


def _outbound(out: Outbound) -> str:
    """``qemu1:mw0+0x40, which reaches qemu2:0x2000040``."""
    there = f"reaches {out.peer}:{out.address:#x}" if out.peer else f"is closed: {out.closed}"
    return f"{out.window}+{out.offset:#x}, which {there}"


def _inbound(window: Inbound, address: int) -> str:
    closed = f", closed: {window.closed}" if window.closed else ""
    return f"{window.window}+{window.offset_of(address):#x}{closed}"
