# SPDX-License-Identifier: MIT
"""Ranges of addresses in order: joined, and what two sequences have in common."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.memory.segments import AddressRange, Segment, joined, joined_segments, overlaps

Sequence = list[AddressRange]


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Disjoint ranges in order, some of which adjoin."""
    at, found = 0, []
    for gap, size in draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=12)):
        found.append(AddressRange(at + gap, at + gap + size))
        at += gap + size
    return found


def members(ranges: Sequence) -> set[int]:
    return {address for part in ranges for address in range(part.start, part.end)}


@given(sequences())
def test_joined(ranges: Sequence) -> None:
    runs = list(joined(ranges))
    assert members(runs) == members(ranges)
    assert all(one.end < other.start for one, other in itertools.pairwise(runs))


@given(sequences(), sequences())
def test_overlaps(mine: Sequence, theirs: Sequence) -> None:
    found = list(overlaps(iter(mine), iter(theirs)))
    assert members(found) == members(mine) & members(theirs)
    assert sorted(found) == found


def test_segments_that_go_on_in_memory_and_in_the_file_are_one() -> None:
    parts = [Segment(0, 2, 10), Segment(2, 3, 12), Segment(5, 1, 20), Segment(7, 1, 21)]
    expected = [Segment(0, 5, 10), Segment(5, 1, 20), Segment(7, 1, 21)]
    assert list(joined_segments(parts)) == expected
    assert list(joined_segments([])) == []
