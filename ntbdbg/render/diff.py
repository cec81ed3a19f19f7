# SPDX-License-Identifier: MIT
"""Differences side by side, and as JSON. Plain Python: a quick command must not wait for rich."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ntbdbg.inspect.diff import DIFFERENT
from ntbdbg.units import counted, format_size

if TYPE_CHECKING:
    from ntbdbg.inspect.diff import DiffSummary, PageDiff, Run

_BOTH = 3
"""Columns of the bar between the sides."""

LABEL_WIDTH = 32
"""Columns that labels behind the lines like to have."""

_ON, _OFF = "\x1b[1;31m", "\x1b[0m"
_ASCII = bytes(c if 0x20 <= c < 0x7F else 0x2E for c in range(256))


class DiffLayout(NamedTuple):
    """How differences look.

    :ivar columns: bytes per line and side
    :ivar color: mark bytes by colour instead of brackets
    :ivar letters: show ASCII too
    :ivar digits: of an address
    """

    columns: int = 16
    color: bool = False
    letters: bool = True
    digits: int = 8

    @property
    def half(self) -> int:
        """Columns of one side."""
        letters = 2 + self.columns if self.letters else 0
        return self.digits + 3 * self.columns + 1 + letters

    @classmethod
    def fitting(cls, width: int, *, color: bool, end: int, labels: bool = False) -> DiffLayout:
        """The richest layout for a terminal of `width` columns.

        :param end: the highest address to be shown, plus one
        :param labels: whether there must be room for them
        """
        width -= LABEL_WIDTH if labels else 0
        digits = 8 if end <= 1 << 32 else 16
        choices = [cls(16, color, True, digits), cls(8, color, True, digits)]
        fitting = [layout for layout in choices if 2 * layout.half + _BOTH <= width]
        return fitting[0] if fitting else cls(8, color, False, digits)


def heading(a: str, b: str, layout: DiffLayout) -> str:
    """The line above the first difference: which side is which."""
    return f"{a:<{layout.half}} | {b}"


LineLabel = Callable[[int, int, int], str]
"""`(address in A, address in B, size)` of a line → what to say behind it."""


def page_lines(page: PageDiff, layout: DiffLayout, label: LineLabel | None = None) -> list[str]:
    """Those lines of a page that hold a difference: address and bytes of either side.

    Differing bytes are in brackets, or coloured.
    """
    mixed = page.mixed
    lines = []
    for at in _line_starts(page, layout.columns):
        low, high = max(at, 0), min(at + layout.columns, len(mixed))
        pad = low - at
        left = _half(page.a + low, page.old[low:high], mixed[low:high], pad, layout)
        right = _half(page.b + low, page.new[low:high], mixed[low:high], pad, layout)
        text = label(page.a + low, page.b + low, high - low) if label else ""
        lines.append(f"{left} | {right}  {text}".rstrip())
    return lines


def _line_starts(page: PageDiff, columns: int) -> dict[int, None]:
    """Page offsets (the first may be negative) of lines that hold a difference, in order."""
    skew = page.a % columns
    starts: dict[int, None] = {}
    for run in page.runs():
        first = (run.a - page.a + skew) // columns
        last = (run.a - page.a + len(run.old) - 1 + skew) // columns
        starts.update(dict.fromkeys(n * columns - skew for n in range(first, last + 1)))
    return starts


def _half(address: int, data: bytes, mixed: bytes, pad: int, layout: DiffLayout) -> str:
    mark = _colored if layout.color else _bracketed
    missing = layout.columns - pad - len(data)
    text = f"{address:0{layout.digits}x}{'   ' * pad}{mark(data, mixed)}{'   ' * missing}"
    if layout.letters:
        letters = data.translate(_ASCII).decode("ascii")
        text = f"{text}  {' ' * pad}{letters}{' ' * missing}"
    return text


def _bracketed(data: bytes, mixed: bytes) -> str:
    """`` 00[01 02]03 ``: one column before each byte, one at the end."""
    text = f" {data.hex(' ')} "
    for match in DIFFERENT.finditer(mixed):
        low, high = 3 * match.start(), 3 * match.end()
        text = f"{text[:low]}[{text[low + 1 : high]}]{text[high + 1 :]}"
    return text


def _colored(data: bytes, mixed: bytes) -> str:
    text = f" {data.hex(' ')} "
    for match in reversed(list(DIFFERENT.finditer(mixed))):
        low, high = 3 * match.start() + 1, 3 * match.end()
        text = f"{text[:low]}{_ON}{text[low:high]}{_OFF}{text[high:]}"
    return text


def summary_line(summary: DiffSummary, a: str, b: str) -> str:
    """What it came to, in words."""
    if summary.identical:
        return f"{a} and {b} are identical: {format_size(summary.compared)} compared"
    if summary.identical is None:
        return (
            f"{a} and {b} do not differ in the {format_size(summary.compared)} compared; "
            f"{format_size(summary.unread)} cannot be read, so nobody can say more"
        )
    return (
        f"{a} and {b} differ: {counted(summary.different, 'byte')} on "
        f"{counted(summary.pages, 'page')} of {format_size(summary.compared)} compared, "
        f"from {summary.first:#x} to {summary.last:#x}"
    )


def run_facts(run: Run) -> dict[str, Any]:
    """One ``diff-run`` line of ``diff --json`` (docs/json.md)."""
    return {
        "a": run.a,
        "b": run.b,
        "size": len(run.old),
        "old": run.old.hex(),
        "new": run.new.hex(),
    }


def summary_facts(summary: DiffSummary, a: str, b: str, listed: int) -> dict[str, Any]:
    """The last line of ``diff --json``."""
    return {
        "a": a,
        "b": b,
        "identical": summary.identical,
        "compared": summary.compared,
        "unread": summary.unread,
        "different": summary.different,
        "pages": summary.pages,
        "first": summary.first,
        "last": summary.last,
        "listed": listed,
    }
