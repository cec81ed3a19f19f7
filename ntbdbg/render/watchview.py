# SPDX-License-Identifier: MIT
"""The live view of ``watch``: state now on top, latest changes below, never taller than asked."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ntbdbg.inspect.changes import ByteChange, LinkProbe, MemoryProbe
from ntbdbg.render.watch import new_text, old_text, value_text, wall_time, where

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.inspect.changes import Change, Probe
    from ntbdbg.inspect.linkstate import FieldKey, FieldValue
    from ntbdbg.inspect.watch import Sample, WatchStats

LINE = 16
HISTORY = 200
RECENT = 1.0
"""Seconds for which a change stays highlighted."""

_LINK_ROWS = (
    "port.state",
    "doorbell.status",
    "doorbell.mask",
    "doorbell.pending",
    "doorbell.received",
    "doorbell.sent",
)


class WatchView:
    """What a watch shows on a terminal.

    :param probes: what is watched; their states come with `update`
    """

    def __init__(self, title: str, probes: Sequence[Probe]) -> None:
        self.title = title
        self.probes = probes
        self.states: Sequence[Any] = ()
        self.stats: WatchStats | None = None
        self.history: deque[tuple[Sample, Change]] = deque(maxlen=HISTORY)
        self.now = 0.0
        self._touched: dict[tuple[str, int | str], float] = {}

    def update(self, sample: Sample, states: Sequence[Any], stats: WatchStats) -> None:
        """Take a new sample into account."""
        self.states, self.stats, self.now = states, stats, sample.monotonic
        for change in sample.changes:
            self.history.append((sample, change))
            if isinstance(change, ByteChange):
                for address in range(change.address, change.address + len(change.new[:4096])):
                    self._touched[change.source, address] = sample.monotonic
            else:
                self._touched[change.source, change.field] = sample.monotonic
        if len(self._touched) > 1 << 16:
            self._touched = {k: t for k, t in self._touched.items() if self._is_recent(t)}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = max(6, (options.height or console.height) - 1)
        yield self._header()
        left = height - 1
        for probe, state in zip(self.probes, self.states, strict=False):
            if left < 4:
                break
            if isinstance(probe, LinkProbe):
                part = self._link(probe, state, left - 1)
            elif isinstance(probe, MemoryProbe):
                part = self._memory(probe, state, max(1, left // 2 - 1))
            yield part
            left -= part.row_count + 1
        if self.history and left > 2:
            yield ChangeTable(list(self.history)[-(left - 1) :])

    def _header(self) -> Text:
        text = Text(self.title, style="bold", no_wrap=True, overflow="ellipsis")
        if self.stats is not None and self.stats.samples > 1:
            text.append(
                f"  {self.stats.elapsed:.1f} s  {self.stats.rate:.0f} samples/s  "
                f"longest gap {self.stats.longest_gap * 1e3:.1f} ms  {self.stats.changes} changes",
                style="dim",
            )
        return text

    def _is_recent(self, moment: float) -> bool:
        return self.now - moment <= RECENT

    def _style(self, source: str, what: int | str) -> str:
        moment = self._touched.get((source, what))
        return "bold yellow" if moment is not None and self._is_recent(moment) else ""

    def _memory(self, probe: MemoryProbe, data: bytes, rows: int) -> Table:
        table = _plain_table(f"{probe.source}:", "", "")
        table.columns[0].min_width = 8
        for at in self._lines(probe, rows):
            part = data[at : at + LINE]
            shown, letters = Text(no_wrap=True), Text(no_wrap=True)
            for offset, byte in enumerate(part):
                style = self._style(probe.source, probe.address + at + offset)
                shown.append(f"{byte:02x}", style=style).append(" ")
                letters.append(chr(byte) if 0x20 <= byte < 0x7F else ".", style=style)
            table.add_row(f"{probe.address + at:08x}", shown, letters)
        return table

    def _lines(self, probe: MemoryProbe, rows: int) -> list[int]:
        """Offsets of the lines to show: all, or those that changed last."""
        every = range(0, probe.size, LINE)
        if len(every) <= rows:
            return list(every)
        chosen: dict[int, None] = {}
        for _, change in reversed(self.history):
            if isinstance(change, ByteChange) and change.source == probe.source:
                offset = change.address - probe.address
                if 0 <= offset < probe.size:
                    chosen[offset // LINE * LINE] = None
            if len(chosen) == rows:
                break
        for at in every[:rows]:
            if len(chosen) < rows:
                chosen[at] = None
        return sorted(chosen)

    def _link(self, probe: LinkProbe, state: Any, rows: int) -> Table:
        fields = probe.fields(state)
        guests = list(dict.fromkeys(source for source, _ in fields))
        table = _plain_table("", *guests)
        for label, cells in itertools.islice(_link_rows(fields, guests), rows):
            texts = []
            for guest, cell in zip(guests, cells, strict=True):
                styles = [self._style(guest, name) for name in cell]
                words = " ".join(value_text(n, fields.get((guest, n))) for n in cell)
                texts.append(Text(words, style=max(styles, default="")))
            table.add_row(label, *texts)
        return table


class ChangeTable:
    """Changes, latest last: time, guest, where, old and new."""

    def __init__(self, changes: Sequence[tuple[Sample, Change]]) -> None:
        self.changes = changes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _plain_table("TIME", "GUEST", "WHERE", "OLD", "NEW")
        for column in table.columns[3:]:
            column.overflow = "ellipsis"
        for sample, change in self.changes:
            table.add_row(
                wall_time(sample.wall).partition(" ")[2],
                change.source,
                where(change),
                old_text(change),
                new_text(change),
            )
        yield table


def _link_rows(
    fields: Mapping[FieldKey, FieldValue], guests: Sequence[str]
) -> Iterator[tuple[str, list[list[str]]]]:
    """Label, and for each guest the fields that share its cell."""
    for name in _LINK_ROWS:
        yield name, [[name] for _ in guests]
    yield "link to peers", [_peers(fields, guest) for guest in guests]
    for index in range(4):
        cell = [f"message{index}.data", f"message{index}.full"]
        yield f"message{index} data, full", [cell for _ in guests]
    for name in _windows(fields):
        yield f"{name} translation, open", [[f"{name}.address", f"{name}.open"] for _ in guests]


def _windows(fields: Mapping[FieldKey, FieldValue]) -> list[str]:
    """Windows that somebody translates, by number; the first one always."""
    used = {
        field.partition(".")[0]
        for (_, field), value in fields.items()
        if field == "mw0.address" or (value and field.startswith("mw") and _tells_use(field))
    }
    return sorted(used, key=lambda name: int(name[2:]))


def _tells_use(field: str) -> bool:
    return field.endswith((".address", ".open"))


def _peers(fields: Mapping[FieldKey, FieldValue], guest: str) -> list[str]:
    return [name for source, name in fields if source == guest and name.startswith("link.to.")]


def _plain_table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    return table
