# SPDX-License-Identifier: MIT
"""Maps of pages as small pictures: one pixel a cell, in PNG files that a page can embed."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ntbdbg.inspect.pagemap import Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ntbdbg.inspect.pagemap import PageMap

Color = tuple[int, int, int, int]
"""Red, green, blue, alpha; 0 to 255. Visible on white as on black."""

USAGE_COLORS: dict[Usage, Color] = {
    Usage.UNTOUCHED: (128, 128, 128, 0),
    Usage.ZERO: (128, 138, 150, 70),
    Usage.SPARSE: (92, 158, 214, 255),
    Usage.DENSE: (28, 98, 178, 255),
}
CHANGED: Color = (226, 98, 24, 255)
"""All pages of a cell changed; fewer are paler."""

BEYOND: Color = (0, 0, 0, 0)
"""Past the last cell in the last row."""

SHADES = 8


@dataclass(frozen=True)
class Heat:
    """A picture of one run of RAM.

    :ivar url: the PNG as a ``data:`` URL
    :ivar start: guest-physical address of the first cell
    :ivar cell: bytes a cell stands for
    :ivar count: cells there are; the rest of the last row is empty
    :ivar width: cells per row
    :ivar height: rows
    """

    url: str
    start: int
    cell: int
    count: int
    width: int
    height: int


def usage_heat(pages: PageMap) -> Heat:
    """What the pages hold, in `USAGE_COLORS`."""
    palette = [USAGE_COLORS[usage] for usage in Usage]
    return _heat(pages, pages.cells, palette)


def change_heat(pages: PageMap) -> Heat:
    """Which pages changed, the more of a cell the stronger."""
    per_cell = max(1, pages.cell // 4096)
    counts = pages.cells.astype(np.uint32)
    shades = np.where(counts == 0, 0, 1 + (SHADES - 1) * np.minimum(counts, per_cell) // per_cell)
    palette = [(128, 138, 150, 40), *(_paler(CHANGED, k + 1) for k in range(SHADES))]
    return _heat(pages, shades.astype(np.uint8), palette)


def _paler(color: Color, shade: int) -> Color:
    return (*color[:3], 95 + 160 * shade // SHADES)


def _heat(pages: PageMap, cells: NDArray[np.uint8], palette: Sequence[Color]) -> Heat:
    width = row_width(len(cells))
    height = max(1, -(-len(cells) // width))
    image = np.full(width * height, len(palette), np.uint8)
    image[: len(cells)] = cells
    data = png(image.reshape(height, width), [*palette, BEYOND])
    url = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return Heat(url, pages.range.start, pages.cell, len(cells), width, height)


def row_width(count: int) -> int:
    """Cells per row: a power of two, so that addresses line up, never higher than wide."""
    width = 16
    while width < 512 and width * width < count:
        width *= 2
    return width


def png(image: NDArray[np.uint8], palette: Sequence[Color]) -> bytes:
    """An indexed PNG file (PNG specification, third edition, colour type 3).

    :param image: (height, width) uint8, indices into `palette`
    :param palette: at most 256 colours
    """
    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, 0
    rows[:, 1:] = image
    colors = b"".join(bytes(color[:3]) for color in palette)
    alphas = bytes(color[3] for color in palette)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", colors),
        (b"tRNS", alphas),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
