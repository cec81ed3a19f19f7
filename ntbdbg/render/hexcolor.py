# SPDX-License-Identifier: MIT
"""Lines of a hex dump in colour, as hexyl has them."""

from __future__ import annotations

import functools

from ntbdbg.render.hexlines import ASCII, HexLayout

_RESET = "\x1b[0m"


def format_color(address: int, data: bytes, layout: HexLayout) -> bytes:
    """Lines for `data` with each byte coloured by its class."""
    lines, colors = [], _colors()
    for at in range(0, len(data), layout.columns):
        part = data[at : at + layout.columns]
        shown, length = _color_groups(part, layout)
        pad = " " * (layout.hex_size - length)
        text = "".join(f"{colors[b]}{chr(ASCII[b])}" for b in part)
        lines.append(f"{address + at:0{layout.digits}x}: {shown}{pad} {text}{_RESET}\n")
    return "".join(lines).encode("ascii")


def _color_groups(part: bytes, layout: HexLayout) -> tuple[str, int]:
    """The coloured groups of one line, and how many columns they take."""
    shown, length, colors = "", 0, _colors()
    for at in range(0, len(part), layout.width):
        group = part[at : at + layout.width]
        missing = "  " * (layout.width - len(group)) if layout.little else ""
        ordered = group[::-1] if layout.little else group
        shown += missing + "".join(f"{colors[b]}{b:02x}" for b in ordered) + _RESET + " "
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


@functools.cache
def _colors() -> list[str]:
    """Escape code of every byte; made when the first dump is coloured."""
    return [_color(byte) for byte in range(256)]
