# SPDX-License-Identifier: MIT
"""Memory windows as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ntbdbg.memory.number import format_size
from ntbdbg.ntb.model import PortState

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.ntb.model import Link, MemoryWindow

Names = Mapping[int, str]


class WindowMap:
    """A table of windows.

    :param windows: which ones to show
    :param names: by partition, the guest
    """

    def __init__(self, link: Link, windows: Sequence[MemoryWindow], names: Names) -> None:
        self.link = link
        self.windows = windows
        self.names = names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.windows:
            yield Text("no memory windows")
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("WINDOW", "BAR", "AT", "SIZE", "REACHES", "STATE"):
            table.add_column(title, overflow="fold")
        for window in self.windows:
            table.add_row(*self._row(window))
        yield table
        for window in self.windows:
            yield from self._remarks(window)

    def _name(self, window: MemoryWindow) -> str:
        return f"{port_name(self.link, window.partition, self.names)}:mw{window.index}"

    def _row(self, window: MemoryWindow) -> tuple[str | Text, ...]:
        return (
            self._name(window),
            f"{window.bar} {window.kind.value} {format_size(window.aperture)}",
            "-" if window.base is None else f"{window.base:#x}",
            format_size(window.size) if window.size else "-",
            self._reaches(window),
            Text("open", style="green") if window.is_open else Text("closed", style="red"),
        )

    def _remarks(self, window: MemoryWindow) -> Iterator[Text]:
        """Why it is closed, what of it leads nowhere, and whether the device sees it so."""
        name = self._name(window)
        for reason in window.closed:
            yield Text(f"{name} is closed: {reason.text}")
        for piece in window.pieces:
            if piece.gap is not None:
                where = f"+{piece.offset:#x}, {format_size(piece.size)}"
                yield Text(f"{name} {where}: {piece.gpa:#x} {piece.gap}", style="yellow")
        if not window.device_agrees:
            said = "open" if window.device_open else "closed"
            yield Text(f"{name}: the device itself says {said}", style="bold red")

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
        "type": window.kind.value,
        "aperture": window.aperture,
        "base": window.base,
        "size": window.size,
        "limit": translation.limit if translation else None,
        "translation": translation.address if translation else None,
        "target": port_name(link, translation.partition, names) if translation else None,
        "target_partition": translation.partition if translation else None,
        "pieces": [
            {"offset": p.offset, "size": p.size, "gpa": p.gpa, "gap": p.gap} for p in window.pieces
        ],
        "open": window.is_open,
        "closed": [{"reason": r.why.name.lower(), "text": r.text} for r in window.closed],
        "device_open": window.device_open,
        "device_agrees": window.device_agrees,
    }
