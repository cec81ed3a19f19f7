# SPDX-License-Identifier: MIT
"""Hex dumps in xxd's format, byte for byte, so that ``xxd -r`` takes them back.

Small dumps are formatted by plain Python (`hexlines`, `hexcolor`); large ones by `hexbulk`, which
costs the import of numpy and is a hundred times faster a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ntbdbg.render.hexlines import HexLayout, format_plain
from ntbdbg.render.squeeze import find_runs, squeeze

BULK = 1 << 19
"""Bytes from which numpy's import pays off."""

Formatter = Callable[[int, bytes, HexLayout], bytes]
"""`(address, data, layout)` → lines."""


def offset_digits(end: int) -> int:
    """Digits of the offset column for a dump that ends at address `end`."""
    return 8 if end <= 1 << 32 else 16


def hexdump(
    chunks: Iterable[tuple[int, bytes]],
    layout: HexLayout,
    size: int,
    label: Callable[[int, int], str] | None = None,
) -> Iterator[bytes]:
    """The dump of adjoining `chunks`, whole lines each but the last, as text ready to write.

    :param size: bytes expected in all, which decides who formats them
    :param label: `(address, size)` of a line → what to say behind it; ``xxd -r`` skips that
    """
    format_lines: Formatter = format_plain
    if layout.color:
        from ntbdbg.render.hexcolor import format_color as format_lines
    runs = find_runs
    if label is not None:
        format_lines = _labelled(format_lines, label)
    elif size >= BULK:
        from ntbdbg.render import hexbulk

        runs = hexbulk.find_runs_bulk
        if not layout.color and layout.columns % layout.width == 0:
            format_lines = hexbulk.BulkFormatter(layout).format
    if layout.squeeze == "none":
        for address, data in chunks:
            yield format_lines(address, data, layout)
        return
    for piece in squeeze(chunks, layout.columns, layout.squeeze == "all", runs):
        yield b"*\n" if piece is None else format_lines(*piece, layout)


def _labelled(format_line: Formatter, label: Callable[[int, int], str]) -> Formatter:
    def format_lines(address: int, data: bytes, layout: HexLayout) -> bytes:
        lines = []
        for at in range(0, len(data), layout.columns):
            part = data[at : at + layout.columns]
            line = format_line(address + at, part, layout)
            text = label(address + at, len(part))
            pad = " " * (layout.columns - len(part) + 2)
            lines.append(line[:-1] + (pad + text).encode() + b"\n" if text else line)
        return b"".join(lines)

    return format_lines
