# SPDX-License-Identifier: MIT
"""The lines of a hex dump: how they look, and plain ones."""

from __future__ import annotations

from typing import NamedTuple

ASCII = bytes(c if 0x20 <= c < 0x7F else 0x2E for c in range(256))
"""What of a byte is printed behind the digits: itself, or a full stop."""


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


def format_plain(address: int, data: bytes, layout: HexLayout) -> bytes:
    """Lines for `data`, without colour."""
    columns, width, little, _, digits, _ = layout
    hex_size = layout.hex_size
    lines = []
    for at in range(0, len(data), columns):
        part = data[at : at + columns]
        shown = _little(part, width) if little else _groups(part, width)
        text = part.translate(ASCII).decode("ascii")
        lines.append(f"{address + at:0{digits}x}: {shown:<{hex_size}} {text}\n")
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
