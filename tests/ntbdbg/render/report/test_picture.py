# SPDX-License-Identifier: MIT
"""Where boxes and bands of the picture lie."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.memory.segments import AddressRange, Segment
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.model import Link
from ntbdbg.render.report.picture import Box, Picture, draw
from tests.support.fakeswitch import BAR2_ADDRESS, FakeSwitch

MIB, GIB = 1 << 20, 1 << 30
NAMES = {0: "qemu1", 1: "qemu2"}
RAM = [AddressRange(0, 256 * MIB)]


def link(*, up: bool = True, address: int = 0x1000000, size: int = 0x10000) -> Link:
    switch = FakeSwitch()
    for part in NAMES:
        switch.publish_ram(part, [Segment(0, 256 * MIB, 0)])
    if up:
        switch.link_up()
    switch.translate(0, address=address, size=size)
    return decode_page(switch.build(), "page")


def two(state: Link | None) -> Picture:
    return draw({"qemu1": RAM, "qemu2": RAM}, state, NAMES)


def boxes(picture: Picture, guest: str) -> list[Box]:
    return [box for box in picture.boxes if box.guest == guest]


def test_a_column_is_ram_a_hole_and_the_bar() -> None:
    kinds = [(box.kind, box.range.start) for box in boxes(two(link()), "qemu1")]
    assert kinds == [("ram", 0), ("hole", 256 * MIB), ("bar", BAR2_ADDRESS)]


def test_boxes_stand_on_each_other_from_the_foot_up() -> None:
    picture = two(link())
    for guest in NAMES.values():
        column = boxes(picture, guest)
        for lower, upper in itertools.pairwise(column):
            assert upper.y + upper.height == lower.y
            assert upper.range.start == lower.range.end
    feet = {box.y + box.height for box in picture.boxes if box.range.start == 0}
    assert len(feet) == 1


def test_an_open_window_is_a_band_to_what_it_reaches() -> None:
    (band,) = two(link()).bands
    assert band.open
    assert band.label == "qemu1:mw0 → qemu2:0x1000000, 64 KiB"


def test_a_closed_window_says_why() -> None:
    (band,) = two(link(up=False)).bands
    assert not band.open
    assert "closed: " in band.label


def test_without_a_link_there_are_only_boxes() -> None:
    picture = two(None)
    assert not picture.bands
    assert {box.kind for box in picture.boxes} == {"ram"}


@given(
    st.integers(0, 255 * MIB).map(lambda n: n & ~0xFFF),
    st.integers(1, 512).map(lambda n: n * 4096),
)
def test_bands_end_at_the_boxes_that_they_join(address: int, size: int) -> None:
    picture = two(link(address=address, size=size))
    for band in picture.bands:
        numbers = [float(n) for n in re.findall(r"[0-9.]+", band.path)]
        x0, x1 = numbers[0], numbers[6]
        source = next(b for b in boxes(picture, "qemu1") if b.kind == "bar")
        sink = next(b for b in boxes(picture, "qemu2") if b.kind == "ram")
        assert (x0, x1) == (source.x + source.width, sink.x)
        for y in numbers[7::2][:2]:
            assert sink.y - 5 <= y <= sink.y + sink.height + 5


def test_everything_lies_within_the_picture() -> None:
    picture = draw(
        {f"qemu{n}": [*RAM, AddressRange(4 * GIB, 5 * GIB)] for n in range(1, 7)}, None, {}
    )
    for box in picture.boxes:
        assert box.x >= 0
        assert box.x + box.width <= picture.width
        assert box.y >= 0
        assert box.y + box.height <= picture.height
    assert len({x for _, x in picture.titles}) == 6


def test_addresses_of_the_last_column_stand_where_no_band_is() -> None:
    picture = two(link())
    assert all(box.label_x < box.x for box in boxes(picture, "qemu1"))
    for box in boxes(picture, "qemu2"):
        assert box.x + box.width < box.label_x < picture.width
