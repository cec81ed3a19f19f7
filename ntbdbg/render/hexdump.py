# SPDX-License-Identifier: MIT
"""Hex dumps in xxd's format, byte for byte, so that ``xxd -r`` takes them back.

Small dumps are formatted here by plain Python; large ones by `ntbdbg.render.hexbulk`, which
costs the import of numpy and is a hundred times faster a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ntbdbg.render.squeeze import find_runs, squeeze

BULK = 1 << 19
"""Bytes from which numpy's import pays off."""

_ASCII = bytes(c if 0x20 <= c < 0x7F else 0x2E for c in range(256))
_RESET = "\x1b[0m"


class HexLayout(NamedTuple):
    """How a dump looks.

    :ivar columns: bytes per line
    :ivar width: bytes per group
    :ivar little: each group is shown as a little-endian number (``xxd -e``)
    :ivar squeeze: ``zeros`` as ``xxd -a``, ``all`` for any repeat, ``none``
    :ivar digits: of the offset: 8, or 16 above 4 GiB
    :ivar color: colour bytes by class
    """

    columns: int = 16
    width: int = 2
    little: bool = False
    squeeze: str = "zeros"
    digits: int = 8
    color: bool = False

    @property
    def hex_size(self) -> int:
        """Columns that the hex part takes, with a space after every group."""
        return 2 * self.columns + -(-self.columns // self.width)


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
    format_lines: Formatter = format_color if layout.color else format_plain
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


def format_plain(address: int, data: bytes, layout: HexLayout) -> bytes:
    """Lines for `data`, without colour."""
    columns, width, little, _, digits, _ = layout
    hex_size = layout.hex_size
    lines = []
    for at in range(0, len(data), columns):
        part = data[at : at + columns]
        shown = _little(part, width) if little else _groups(part, width)
        text = part.translate(_ASCII).decode("ascii")
        lines.append(f"{address + at:0{digits}x}: {shown:<{hex_size}} {text}\n")
    return "".join(lines).encode("ascii")


def format_color(address: int, data: bytes, layout: HexLayout) -> bytes:
    """Lines for `data` with each byte coloured by its class."""
    lines = []
    for at in range(0, len(data), layout.columns):
        part = data[at : at + layout.columns]
        shown, length = _color_groups(part, layout)
        pad = " " * (layout.hex_size - length)
        text = "".join(f"{_COLORS[b]}{chr(_ASCII[b])}" for b in part)
        lines.append(f"{address + at:0{layout.digits}x}: {shown}{pad} {text}{_RESET}\n")
    return "".join(lines).encode("ascii")


def _groups(part: bytes, width: int) -> str:
    # bytes.hex counts groups from the right, which differs only for a cut last group.
    rest = len(part) % width
    if not rest:
        return part.hex(" ", width)
    whole = part[:-rest]
    return f"{whole.hex(' ', width)}{' ' if whole else ''}{part[-rest:].hex()}"


def _little(part: bytes, width: int) -> str:
    groups = (part[at : at + width][::-1].hex() for at in range(0, len(part), width))
    return " ".join(f"{group:>{2 * width}}" for group in groups)


def _color_groups(part: bytes, layout: HexLayout) -> tuple[str, int]:
    """The coloured groups of one line, and how many columns they take."""
    shown, length = "", 0
    for at in range(0, len(part), layout.width):
        group = part[at : at + layout.width]
        missing = "  " * (layout.width - len(group)) if layout.little else ""
        ordered = group[::-1] if layout.little else group
        shown += missing + "".join(f"{_COLORS[b]}{b:02x}" for b in ordered) + _RESET + " "
        length += len(missing) + 2 * len(group) + 1
    return shown, length


def _color(byte: int) -> str:
    """Escape code for a byte's class, as hexyl classes them."""
    if byte == 0:
        return "\x1b[90m"  # NUL: dim
    if byte in b"\t\n\v\f\r ":
        return "\x1b[32m"  # white space: green
    if 0x20 < byte < 0x7F:
        return "\x1b[36m"  # printable: cyan
    return "\x1b[35m" if byte < 0x80 else "\x1b[33m"  # control: magenta; high: yellow


_COLORS = [_color(byte) for byte in range(256)]
