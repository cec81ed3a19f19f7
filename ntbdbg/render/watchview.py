# SPDX-License-Identifier: MIT
"""The live view of ``watch``: state now on top, latest changes below, never taller than asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ntbdbg.inspect.changes import ByteChange, LinkProbe, MemoryProbe
from ntbdbg.render.screen import Screen
from ntbdbg.render.table import PlainTable, plain_table
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
        screen = Screen(console, options.max_width, height)
        yield from screen.first([[self._header()]])
        for probe, state in zip(self.probes, self.states, strict=False):
            if screen.left < 3:
                break
            if isinstance(probe, LinkProbe):
                yield from screen.first(self._link(probe, state).blocks(screen.width))
            elif isinstance(probe, MemoryProbe):
                yield from self._memory(screen, probe, state)
        if self.history:
            changes = list(self.history)[-screen.left :]
            yield from ChangeTable(changes).latest(screen)

    def _header(self) -> Text:
        text = Text(self.title, style="bold")
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

    def _memory(self, screen: Screen, probe: MemoryProbe, data: bytes) -> Iterator[Text]:
        """At most half of what is left of the screen."""
        rows = max(1, screen.left // 2 - 1)
        digits = max(8, len(f"{probe.address + probe.size:x}"))
        line = _bytes_beside(screen.width - digits)
        table = plain_table(f"{probe.source}:".ljust(digits), "", "", last_folds=False)
        for at in self._lines(probe, rows, line):
            table.add_row(f"{probe.address + at:0{digits}x}", *self._bytes(probe, data, at, line))
        return screen.first(table.blocks(screen.width), rows + 1)

    def _bytes(self, probe: MemoryProbe, data: bytes, at: int, line: int) -> tuple[Text, Text]:
        """One line of memory, in hexadecimal and as text."""
        shown, letters = [], Text()
        for offset, byte in enumerate(data[at : at + line], at):
            style = self._style(probe.source, probe.address + offset)
            shown.append(Text(f"{byte:02x}", style=style))
            letters.append(chr(byte) if 0x20 <= byte < 0x7F else ".", style=style)
        return Text(" ").join(shown), letters

    def _lines(self, probe: MemoryProbe, rows: int, line: int) -> list[int]:
        """Offsets of the lines to show: all, or those that changed last."""
        every = range(0, probe.size, line)
        if len(every) <= rows:
            return list(every)
        chosen: dict[int, None] = {}
        for _, change in reversed(self.history):
            if isinstance(change, ByteChange) and change.source == probe.source:
                offset = change.address - probe.address
                if 0 <= offset < probe.size:
                    chosen[offset // line * line] = None
            if len(chosen) == rows:
                break
        for at in every[:rows]:
            if len(chosen) < rows:
                chosen[at] = None
        return sorted(chosen)

    def _link(self, probe: LinkProbe, state: Any) -> PlainTable:
        fields = probe.fields(state)
        guests = list(dict.fromkeys(source for source, _ in fields))
        table = plain_table("", *guests, last_folds=False)
        for label, cells in _link_rows(fields, guests):
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
        yield self._table()

    def latest(self, screen: Screen) -> Iterator[Text]:
        """As many of the last ones as the screen still holds."""
        title, *rows = self._table().blocks(screen.width)
        return screen.last(title, rows)

    def _table(self) -> PlainTable:
        table = plain_table("TIME", "GUEST", "WHERE", "OLD", "NEW", last_folds=False)
        for sample, change in self.changes:
            table.add_row(
                wall_time(sample.wall).partition(" ")[2],
                change.source,
                where(change),
                old_text(change),
                new_text(change),
            )
        return table


def _bytes_beside(columns: int) -> int:
    """How many bytes fit beside their address, in hexadecimal and as text: 1 to `LINE`."""
    line = LINE
    while line > 1 and 2 + 3 * line - 1 + 2 + line > columns:
        line //= 2
    return line


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
