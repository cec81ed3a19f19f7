# SPDX-License-Identifier: MIT
"""Pages by what they hold, and by what changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.inspect import pagemap
from ntbdbg.inspect.pagemap import PAGE, Usage, page_changes, page_usage
from ntbdbg.memory.buffer import BufferMemory
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import AddressRange, Segment

CONTENT = {
    Usage.ZERO: bytes(PAGE),
    Usage.SPARSE: b"x" * (PAGE // 4) + bytes(PAGE - PAGE // 4),
    Usage.DENSE: bytes(PAGE - PAGE // 4 - 1) + b"x" * (PAGE // 4 + 1),
}


@given(st.lists(st.sampled_from(list(CONTENT)), min_size=1, max_size=9))
def test_each_page_is_what_it_holds(kinds: list[Usage]) -> None:
    memory = BufferMemory(b"".join(CONTENT[kind] for kind in kinds))
    (found,) = page_usage(memory)
    assert found.range == AddressRange(0, len(kinds) * PAGE)
    assert found.cell == PAGE
    assert list(found.cells) == kinds


def test_pages_that_nobody_touched_are_not_read_but_told(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(64 * PAGE)
        file.seek(17 * PAGE)
        file.write(b"y" * PAGE)
        file.flush()
    memory = RamFile(str(path), [Segment(0, 64 * PAGE, 0)])
    before = memory.allocated()
    (found,) = page_usage(memory)
    assert memory.allocated() == before
    assert found.cells[17] == Usage.DENSE
    assert set(found.cells) - {Usage.DENSE} <= {Usage.UNTOUCHED, Usage.ZERO}
    assert list(found.cells).count(Usage.DENSE) == 1


def test_each_run_of_ram_has_a_map_of_its_own() -> None:
    segments = [Segment(0, 2 * PAGE, 0), Segment(1 << 32, PAGE, 2 * PAGE)]
    memory = BufferMemory(bytes(2 * PAGE) + b"z" * PAGE, segments)
    low, high = page_usage(memory)
    assert list(low.cells) == [Usage.ZERO, Usage.ZERO]
    assert (high.range.start, list(high.cells)) == (1 << 32, [Usage.DENSE])


def test_a_small_hole_does_not_part_a_map() -> None:
    memory = BufferMemory(b"z" * (2 * PAGE), [Segment(0, PAGE, 0), Segment(3 * PAGE, PAGE, PAGE)])
    (found,) = page_usage(memory)
    assert found.range == AddressRange(0, 4 * PAGE)
    assert list(found.cells) == [Usage.DENSE, Usage.UNTOUCHED, Usage.UNTOUCHED, Usage.DENSE]


def test_a_run_may_end_inside_a_page() -> None:
    (found,) = page_usage(BufferMemory(b"q" * (PAGE + 100)))
    assert list(found.cells) == [Usage.DENSE, Usage.SPARSE]


def test_large_memory_is_told_in_larger_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagemap, "MAX_CELLS", 4)
    pages = [Usage.ZERO] * 9 + [Usage.DENSE] + [Usage.ZERO] * 4
    (found,) = page_usage(BufferMemory(b"".join(CONTENT[kind] for kind in pages)))
    assert found.cell == 4 * PAGE
    assert list(found.cells) == [Usage.ZERO, Usage.ZERO, Usage.DENSE, Usage.ZERO]


@given(st.sets(st.integers(0, 15)))
def test_changed_pages_are_those_with_a_changed_byte(changed: set[int]) -> None:
    old = BufferMemory(bytes(16 * PAGE))
    data = bytearray(16 * PAGE)
    for page in changed:
        data[page * PAGE + page] = 1
    (found,) = page_changes(old, BufferMemory(data))
    assert {index for index, count in enumerate(found.cells) if count} == changed


def test_changed_pages_of_a_cell_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagemap, "MAX_CELLS", 2)
    data = bytearray(8 * PAGE)
    for page in (0, 1, 3, 6):
        data[page * PAGE] = 1
    (found,) = page_changes(BufferMemory(bytes(8 * PAGE)), BufferMemory(data))
    assert list(found.cells) == [3, 1]
