# SPDX-License-Identifier: MIT
"""Maps of pages as PNG files, read back by a decoder of the test's own."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.inspect.pagemap import PageMap, Usage
from ntbdbg.memory.segments import AddressRange
from ntbdbg.render.report.heat import USAGE_COLORS, change_heat, png, row_width, usage_heat


def unpack(data: bytes) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Pixels (height, width) and RGBA palette of an indexed PNG without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        (crc,) = struct.unpack_from(">I", data, at + 8 + size)
        assert crc == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    width, height, depth, color = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert (depth, color) == (8, 3)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    colors = zip(*[iter(chunks[b"PLTE"])] * 3, strict=True)
    palette = [(*c, a) for c, a in zip(colors, chunks[b"tRNS"], strict=True)]
    return rows[:, 1:], palette


def of_url(url: str) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    head, _, body = url.partition(",")
    assert head == "data:image/png;base64"
    return unpack(base64.b64decode(body))


@given(st.data())
def test_a_png_holds_the_pixels(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    pixels = data.draw(
        st.lists(st.integers(0, 2), min_size=height * width, max_size=height * width)
    )
    image = np.array(pixels, np.uint8).reshape(height, width)
    palette = [(1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12)]
    found, colors = unpack(png(image, palette))
    assert (found == image).all()
    assert colors == palette


@given(st.lists(st.sampled_from(list(Usage)), min_size=1, max_size=600))
def test_a_dot_has_the_color_of_its_page(kinds: list[Usage]) -> None:
    pages = PageMap(
        AddressRange(0x1000, 0x1000 + 4096 * len(kinds)), 4096, np.array(kinds, np.uint8)
    )
    heat = usage_heat(pages)
    image, palette = of_url(heat.url)
    dots = [palette[index] for index in image.reshape(-1)]
    assert dots[: len(kinds)] == [USAGE_COLORS[kind] for kind in kinds]
    assert {dot[3] for dot in dots[len(kinds) :]} <= {0}
    assert (heat.width, heat.height) == (image.shape[1], image.shape[0])
    assert (heat.start, heat.cell, heat.count) == (0x1000, 4096, len(kinds))


def test_more_changes_in_a_cell_are_stronger() -> None:
    pages = PageMap(AddressRange(0, 4 * 65536), 65536, np.array([0, 1, 8, 16], np.uint8))
    image, palette = of_url(change_heat(pages).url)
    alphas = [palette[index][3] for index in image.reshape(-1)[:4]]
    assert alphas == sorted(set(alphas))
    assert alphas[-1] == 255


@given(st.integers(1, 1 << 20))
def test_rows_are_a_power_of_two_wide(count: int) -> None:
    width = row_width(count)
    assert width & (width - 1) == 0
    assert 16 <= width <= 512
    assert width * width >= count or width == 512


def test_256_mib_of_pages_are_a_square() -> None:
    assert row_width(65536) == 256
