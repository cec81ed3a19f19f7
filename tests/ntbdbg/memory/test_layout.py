# SPDX-License-Identifier: MIT
"""QEMU's memory maps, and the segments that users write."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.arch.machines import MACHINES
from ntbdbg.errors import UsageError
from ntbdbg.memory.layout import as_seen, parse_segments, qemu_segments
from ntbdbg.memory.segments import VGA_HOLE, AddressRange, Segment, SegmentMap

MIB = 1 << 20
GIB = 1 << 30


@pytest.mark.parametrize(
    ("machine", "size", "low", "high"),
    [
        # as 'info mtree -f' of QEMU showed them
        ("q35", 256 * MIB, 256 * MIB, 0),
        ("q35", 2560 * MIB, 2560 * MIB, 0),
        ("q35", 3584 * MIB, 2048 * MIB, 1536 * MIB),
        ("pc", 3328 * MIB, 3328 * MIB, 0),
        ("pc", 4096 * MIB, 3072 * MIB, 1024 * MIB),
        # the borders of the rule
        ("q35", 0xB000_0000 - 4096, 0xB000_0000 - 4096, 0),
        ("q35", 0xB000_0000, 0x8000_0000, 0x3000_0000),
        ("pc", 0xE000_0000 - 4096, 0xE000_0000 - 4096, 0),
        ("pc", 0xE000_0000, 0xC000_0000, 0x2000_0000),
    ],
)
def test_qemu_maps(machine: str, size: int, low: int, high: int) -> None:
    segments = list(qemu_segments(machine, size))
    assert segments[0] == Segment(0, 0xA0000, 0)
    assert segments[1] == Segment(0xC0000, low - 0xC0000, 0xC0000)
    assert segments[2:] == ([Segment(1 << 32, high, low)] if high else [])


def test_an_unknown_machine_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"microvm.*--machine q35 or pc.*--segments"):
        qemu_segments("microvm", GIB)


@given(machine=st.sampled_from(sorted(MACHINES)), pages=st.integers(1, 1 << 22))
def test_every_byte_of_the_file_but_the_vga_hole_has_one_address(machine: str, pages: int) -> None:
    size = pages * 4096
    segments = qemu_segments(machine, size)
    hidden = max(0, min(size, VGA_HOLE.end) - VGA_HOLE.start)
    assert sum(s.size for s in segments) == size - hidden
    ends = sorted((s.offset, s.offset + s.size) for s in segments)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    assert ends[-1][1] == (size if size > VGA_HOLE.end else min(size, VGA_HOLE.start))


@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 20), st.integers(1, 1 << 20), st.integers(0, 1 << 30)),
        max_size=4,
    )
)
def test_cutting_the_vga_hole_keeps_all_else_and_is_idempotent(
    raw: list[tuple[int, int, int]],
) -> None:
    at, parts = 0, []
    for gap, size, offset in raw:
        parts.append(Segment(at + gap, size, offset))
        at += gap + size
    cut = as_seen(parts, "q35")
    for part in parts:
        for address in (part.start, part.end - 1, VGA_HOLE.start - 1, VGA_HOLE.end):
            if address in part.range and address not in VGA_HOLE:
                found = cut.find(address)
                assert found
                assert address - found.start + found.offset == address - part.start + part.offset
    assert all(s.range.overlap(VGA_HOLE) is None for s in cut)
    assert list(as_seen(cut, "pc")) == list(cut)


def test_segments_as_users_write_them() -> None:
    assert list(parse_segments("4G:1G:2G,0:2G:0")) == [
        Segment(0, 2 * GIB, 0),
        Segment(4 * GIB, GIB, 2 * GIB),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not understood"),
        ("0:1M", "is not understood"),
        ("0:0:0", "segment size is zero"),
        ("x:1M:0", "segment address 'x' is not a number"),
        ("0:2M:0,1M:1M:0", "overlap"),
        ("0xffffffffffffffff:2:0", "ends beyond 2^64"),
    ],
)
def test_bad_segments(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_segments(text)
    assert why in str(caught.value)


def test_overlap_is_found_whatever_the_order() -> None:
    with pytest.raises(UsageError, match="overlap"):
        SegmentMap([Segment(0x1000, 0x1000, 0), Segment(0, 0x1001, 0)])


@given(
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=6),
    gaps=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    address=st.integers(0, 700),
    size=st.integers(0, 700),
)
def test_pieces_are_the_part_before_the_first_hole(
    sizes: list[int], gaps: list[int], address: int, size: int
) -> None:
    at, parts = 0, []
    for gap, length in zip(gaps, sizes, strict=False):
        parts.append(Segment(at + gap, length, 1000 + at))
        at += gap + length
    segments = SegmentMap(parts)
    backed = {a for s in parts for a in range(s.start, s.end)}
    expected = 0
    while expected < size and address + expected in backed:
        expected += 1
    pieces = list(segments.pieces(address, size))
    assert sum(length for _, _, length in pieces) == expected
    assert all(p[1] in p[0].range for p in pieces)
    runs = {a for run in segments.runs() for a in range(run.start, run.end)}
    assert runs == backed


def test_a_range_prints_as_half_open() -> None:
    assert str(AddressRange(0x10, 0x20)) == "[0x10, 0x20)"
    assert 0x20 not in AddressRange(0x10, 0x20)
