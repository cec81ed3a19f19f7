# SPDX-License-Identifier: MIT
"""Counting gives as many as a search finds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, UsageError
from ntbdbg.inspect import counting
from ntbdbg.inspect.counting import LONGEST, count
from ntbdbg.inspect.search import search
from ntbdbg.inspect.value import literal, parse_pattern
from ntbdbg.memory import AddressRange, BufferMemory, RamFile, Segment
from tests.support.hugeelf import open_huge


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "CHUNK", 64)


few = st.binary(max_size=400).map(lambda data: bytes(byte & 1 for byte in data))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=few,
    needle=st.binary(min_size=1, max_size=LONGEST + 2).map(lambda n: bytes(b & 1 for b in n)),
    align=st.integers(1, 70),
    start=st.integers(0, 80),
)
def test_as_many_as_are_found(data: bytes, needle: bytes, align: int, start: int) -> None:
    memory = BufferMemory(data + bytes(300))
    for within in (None, AddressRange(start, start + 200)):
        found = list(search(memory, literal(needle), within=within, align=align))
        assert count(memory, literal(needle), within=within, align=align) == len(found)


def test_expressions_are_counted_as_well() -> None:
    assert count(BufferMemory(b"needle noodle"), parse_pattern("re:n..dle")) == 2


def test_neither_across_a_hole_nor_allocated(tmp_path) -> None:
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(1 << 20)
        file.seek(0x8000)
        file.write(b"\xff" * 16)
    segments = (Segment(0, 0x8008, 0), Segment(0x10_0000, 0x1000, 0x8008))
    memory = RamFile(str(path), segments)
    steps: list[tuple[int, int]] = []
    pattern = literal(b"\xff" * 2)
    assert count(memory, pattern, progress=lambda *step: steps.append(step)) == 7 + 7
    assert steps[-1][0] == steps[-1][1]
    assert path.stat().st_blocks * 512 < 1 << 16
    memory.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    pages=st.sets(st.integers(0, 99), max_size=4),
    size=st.integers(1, LONGEST),
    align=st.integers(1, 70),
    start=st.integers(0, 3 << 12),
    hole=st.booleans(),
)
def test_zeros_that_were_never_touched_are_counted_unseen(
    tmp_path, pages: set[int], size: int, align: int, start: int, hole: bool
) -> None:
    path = tmp_path / "ram"
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(100 << 12)
        for page in pages:
            file.seek((page << 12) + 4090)
            file.write(b"\1")
    second = (60 << 12) + 4096 * hole
    segments = (Segment(0, 60 << 12, 0), Segment(second, 40 << 12, 60 << 12))
    memory = RamFile(str(path), segments)
    for within in (None, AddressRange(start, start + 0x40000)):
        found = list(search(memory, literal(bytes(size)), within=within, align=align))
        assert count(memory, literal(bytes(size)), within=within, align=align) == len(found)
    memory.close()


def test_a_file_that_claims_very_much_is_counted_at_once(tmp_path) -> None:
    memory = open_huge(tmp_path / "core")
    assert count(memory, literal(b"\0"), align=8) == (1 << 47) - 8
    assert count(memory, literal(b"AA")) == 63
    memory.close()


def test_what_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="alignment 0"):
        count(BufferMemory(bytes(64)), literal(b"a"), align=0)
    with pytest.raises(FaultError):
        count(BufferMemory(bytes(64)), literal(b"a"), within=AddressRange(0x1000, 0x2000))
