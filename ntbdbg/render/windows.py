# SPDX-License-Identifier: MIT
"""Memory windows as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ntbdbg.ntb.model import PortState
from ntbdbg.render.table import plain_table
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.ntb.model import Link, MemoryWindow

Names = Mapping[int, str]


class WindowMap:
    """A table of windows.

    :param windows: which ones to show
    :param names: by partition, the guest
    :param fold: neighbours in a BAR that are closed for the same reason share a line
    """

    def __init__(
        self, link: Link, windows: Sequence[MemoryWindow], names: Names, *, fold: bool = True
    ) -> None:
        self.link = link
        self.rows = _folded(windows) if fold else [[window] for window in windows]
        self.names = names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text("no memory windows")
            return
        titles = ("WINDOW", "BAR", "AT", "SIZE", "REACHES", "STATE")
        table = plain_table(*titles, last_folds=False)
        for row in self.rows:
            table.add_row(*self._cells(row))
        yield table
        yield from self._reasons()
        for row in self.rows:
            yield from self._remarks(row)

    def _name(self, row: Sequence[MemoryWindow]) -> str:
        first, last = row[0], row[-1]
        guest = port_name(self.link, first.partition, self.names)
        until = f"-mw{last.index}" if last is not first else ""
        return f"{guest}:mw{first.index}{until}"

    def _cells(self, row: Sequence[MemoryWindow]) -> tuple[str | Text, ...]:
        window = row[0]
        times = f"{len(row)} × " if len(row) > 1 else ""
        return (
            self._name(row),
            f"{window.bar} {window.kind.value} {times}{format_size(window.aperture)}",
            "-" if window.base is None else f"{window.base:#x}",
            format_size(window.size) if window.size else "-",
            self._reaches(window),
            Text("open", style="green") if window.is_open else Text("closed", style="red"),
        )

    def _reasons(self) -> Iterator[Text]:
        """Why windows are closed, a line for each reason."""
        found: dict[str, list[Sequence[MemoryWindow]]] = {}
        for row in self.rows:
            for reason in row[0].closed:
                found.setdefault(reason.text, []).append(row)
        for text, rows in found.items():
            is_closed = "is closed" if sum(map(len, rows)) == 1 else "are closed"
            yield Text(f"{', '.join(map(self._name, _neighbours(rows)))} {is_closed}: {text}")

    def _remarks(self, row: Sequence[MemoryWindow]) -> Iterator[Text]:
        """What is special about a window, and whether the device sees it so."""
        name, window = self._name(row), row[0]
        for piece in window.pieces:
            where = f"{name} +{piece.offset:#x}, {format_size(piece.size)}"
            if piece.gap is not None:
                yield Text(f"{where}: {piece.gpa:#x} {piece.gap}", style="yellow")
            elif piece.trapped and window.is_open:
                yield Text(f"{where}: no whole page, each access traps", style="yellow")
        if window.mirrors:
            lenders = " or ".join(f"mw{index}" for index in window.mirrors)
            yield Text(f"{name} has no translation, it mirrors {lenders} (x-mirror-mw)")
        if not window.device_agrees:
            yield Text(f"{name}: the device itself says {_device_words(window)}", style="bold red")

    def _reaches(self, window: MemoryWindow) -> str:
        """The peer's addresses, one piece a line; what is programmed, if nothing is reached."""
        if window.translation is None:
            return "?"
        peer = port_name(self.link, window.translation.partition, self.names)
        if not window.pieces:
            return f"{peer}:{window.translation.address:#x}" if window.size else "-"
        return "\n".join(
            f"{peer}:{piece.gpa:#x}-{piece.gpa + piece.size - 1:#x}"
            if piece.gap is None
            else "nothing"
            for piece in window.pieces
        )


def _folded(windows: Sequence[MemoryWindow]) -> list[list[MemoryWindow]]:
    """Windows that share a line: nothing but their numbers tells them apart."""
    rows: list[list[MemoryWindow]] = []
    for window in windows:
        if rows and _alike(rows[-1][-1], window):
            rows[-1].append(window)
        else:
            rows.append([window])
    return rows


def _neighbours(rows: Sequence[Sequence[MemoryWindow]]) -> list[list[MemoryWindow]]:
    """Rows of windows, joined where the numbers go on in one guest."""
    found: list[list[MemoryWindow]] = []
    for row in rows:
        if found and _follows(found[-1][-1], row[0]):
            found[-1] += row
        else:
            found.append(list(row))
    return found


def _follows(one: MemoryWindow, other: MemoryWindow) -> bool:
    return (one.partition, one.index + 1) == (other.partition, other.index)


def _alike(one: MemoryWindow, other: MemoryWindow) -> bool:
    return (
        (one.partition, one.bar, one.closed) == (other.partition, other.bar, other.closed)
        and not one.is_open
        and not (one.size or other.size)
        and one.device_agrees
        and other.device_agrees
    )


def _device_words(window: MemoryWindow) -> str:
    if window.device_open != window.is_open:
        return "open" if window.device_open else "closed"
    return "that some of it traps" if window.device_trapped else "that none of it traps"


def port_name(link: Link, partition: int, names: Names) -> str:
    """The guest in `partition`, or ``portN``, or what the number is if there is none."""
    if partition in names:
        return names[partition]
    if partition < len(link.ports):
        return f"port{link.ports[partition].number}"
    return f"partition{partition}"


def link_notes(link: Link, names: Names) -> Iterator[str]:
    """What is wrong with the page or a port, and what disagreements may mean."""
    yield from (f"shared page: {problem}" for problem in link.problems)
    for port in link.ports:
        name = port_name(link, port.partition, names)
        yield from (f"{name}: {problem}" for problem in port.problems)
        if port.state is PortState.ATTACHED and port.alive is False:
            yield f"{name}: its QEMU (pid {port.pid}) is gone, its registers are what it left"
    if any(not window.device_agrees for window in link.windows):
        yield (
            "device and registers disagree: a change under way looks so for a moment, as does a "
            "RAM file that the device could not open (QEMU's log tells); otherwise it is a bug"
        )


def window_facts(link: Link, windows: Sequence[MemoryWindow], names: Names) -> dict[str, Any]:
    """The document of ``windows --json`` (docs/json.md)."""
    return {
        "page": link.source,
        "windows": [_facts(link, window, names) for window in windows],
        "problems": list(link_notes(link, names)),
    }


def _facts(link: Link, window: MemoryWindow, names: Names) -> dict[str, Any]:
    translation = window.translation
    return {
        "guest": port_name(link, window.partition, names),
        "partition": window.partition,
        "index": window.index,
        "bar": window.bar,
        "entry": window.entry,
        "type": window.kind.value,
        "aperture": window.aperture,
        "base": window.base,
        "size": window.size,
        "limit": translation.limit if translation else None,
        "translation": translation.address if translation else None,
        "target": port_name(link, translation.partition, names) if translation else None,
        "target_partition": translation.partition if translation else None,
        "pieces": [
            {"offset": p.offset, "size": p.size, "gpa": p.gpa, "gap": p.gap, "trapped": p.trapped}
            for p in window.pieces
        ],
        "mirrors": list(window.mirrors),
        "open": window.is_open,
        "closed": [{"reason": r.why.name.lower(), "text": r.text} for r in window.closed],
        "device_open": window.device_open,
        "device_agrees": window.device_agrees,
    }
