# SPDX-License-Identifier: MIT
"""Hex dumps of megabytes: the same text as `ntbdbg.render.hexdump`, by numpy.

A line is a fixed record, so a block of lines is one array whose constant parts are written
once. Hex digits come from `binascii.hexlify`, which already groups; moving them into place
as opaque 40-byte items (``V40``) is a memcpy a line, ten times faster than rows of uint8.
"""

from __future__ import annotations

import functools
from binascii import hexlify
from typing import TYPE_CHECKING, Any

import numpy as np

from ntbdbg.render.hexlines import ASCII, format_plain

if TYPE_CHECKING:
    from ntbdbg.render.hexlines import HexLayout

FEW = 24
"""Lines up to which plain Python is faster, as between two runs of zeros."""

BLOCK = 1 << 14
"""Lines formatted at once: about 1 MiB of text, which stays in the cache."""


class BulkFormatter:
    """Formats whole lines; `columns` must be a multiple of `width`."""

    def __init__(self, layout: HexLayout) -> None:
        self._layout = layout
        self._record = _record(layout)
        self._lines = np.full((BLOCK, self._record.itemsize), ord(" "), np.uint8)
        self._lines[:, layout.digits] = ord(":")
        self._lines[:, -1] = ord("\n")

    def format(self, address: int, data: bytes, _: HexLayout) -> bytes:
        """Lines for `data`; a cut last line is formatted too."""
        columns = self._layout.columns
        if len(data) <= FEW * columns:
            return format_plain(address, data, self._layout)
        whole = len(data) // columns * columns
        step = BLOCK * columns
        parts = [
            self._block(address + at, data[at : min(at + step, whole)])
            for at in range(0, whole, step)
        ]
        if whole < len(data):
            parts.append(format_plain(address + whole, data[whole:], self._layout))
        return b"".join(parts)

    def _block(self, address: int, data: bytes) -> bytes:
        columns, width, little, _, digits, _ = self._layout
        count = len(data) // columns
        lines = self._lines[:count]
        fields = lines.reshape(-1).view(self._record)
        end = address + len(data)
        offsets = np.arange(address, end, columns, dtype=f">u{digits // 2}")
        fields["offset"] = np.frombuffer(hexlify(offsets.tobytes()), f"V{digits}")
        shown = _swapped(data, width) if little else data
        # One group more than needed: the separator after the last wanted group.
        text = hexlify(shown + bytes(width), " ", width)
        fields["hex"] = np.frombuffer(text, f"V{self._layout.hex_size}", count)
        fields["ascii"] = np.frombuffer(data.translate(ASCII), f"V{columns}")
        return lines.tobytes()


def find_runs_bulk(data: bytes, line: int, any_repeat: bool) -> list[tuple[int, int]]:
    """Runs worth squeezing, as `ntbdbg.render.squeeze.find_runs` finds them."""
    item = np.uint64 if line % 8 == 0 else np.uint8
    rows = np.frombuffer(data, item).reshape(-1, line // np.dtype(item).itemsize)
    count = len(rows)
    if not count:
        return []
    # Column by column: reducing along rows this short is ten times slower.
    zero = functools.reduce(np.bitwise_or, rows.T) == 0
    if any_repeat:
        equal = functools.reduce(np.logical_and, (col[1:] == col[:-1] for col in rows.T))
    else:
        equal = zero[1:] & zero[:-1]
    # A run is a stretch of `equal`, and the line before it.
    edges = np.flatnonzero(np.diff(np.concatenate(([False], equal, [False])).view(np.int8)))
    runs = [(int(a), int(b) + 1) for a, b in edges.reshape(-1, 2)]
    return _with_ends(runs, count, lambda i: any_repeat or bool(zero[i]))


def _with_ends(runs: list[tuple[int, int]], count: int, squeezable: Any) -> list[tuple[int, int]]:
    """Keep runs of three lines, and add those of one line at both ends."""
    kept = [(a, b) for a, b in runs if b - a >= 3 or a == 0 or b == count]
    if squeezable(0) and (not kept or kept[0][0] > 0):
        kept.insert(0, (0, 1))
    if squeezable(count - 1) and (not kept or kept[-1][1] < count):
        kept.append((count - 1, count))
    return kept


def _record(layout: HexLayout) -> np.dtype[Any]:
    columns, digits = layout.columns, layout.digits
    at_hex = digits + 2
    at_ascii = at_hex + layout.hex_size + 1
    return np.dtype(
        {
            "names": ["offset", "hex", "ascii"],
            "formats": [f"V{digits}", f"V{layout.hex_size}", f"V{columns}"],
            "offsets": [0, at_hex, at_ascii],
            "itemsize": at_ascii + columns + 1,
        }
    )


def _swapped(data: bytes, width: int) -> bytes:
    return np.frombuffer(data, f"<u{width}").byteswap().tobytes()
