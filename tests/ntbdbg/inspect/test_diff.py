# SPDX-License-Identifier: MIT
"""The comparison against cmp -l, the judge that everybody has."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, TargetError
from ntbdbg.inspect import diff
from ntbdbg.inspect.diff import (
    DiffSummary,
    PageDiff,
    Run,
    Span,
    common_spans,
    differing_pages,
)
from ntbdbg.memory import AddressRange, BufferMemory, PhysicalMemory, RamFile, Segment


def compare(a: PhysicalMemory, b: PhysicalMemory, *spans: Span) -> list[Run]:
    pages = differing_pages(a, b, spans or common_spans(a, b))
    return [run for page in pages for run in page.runs()]


def flat(runs: list[Run]) -> list[tuple[int, int, int]]:
    """`(address, old, new)` of each byte, as cmp -l lists them."""
    return [
        (run.a + i, old, new)
        for run in runs
        for i, (old, new) in enumerate(zip(run.old, run.new, strict=True))
    ]


def cmp_l(a: Path, b: Path) -> list[tuple[int, int, int]]:
    assert shutil.which("cmp"), "this test needs cmp"
    done = subprocess.run(["cmp", "-l", a, b], capture_output=True, text=True, check=False)
    lines = (line.split() for line in done.stdout.splitlines())
    return [(int(at) - 1, int(old, 8), int(new, 8)) for at, old, new in lines]


def sparse_file(path: Path, size: int, rng: random.Random) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for _ in range(rng.randrange(6)):
            file.seek(rng.randrange(size))
            file.write(rng.randbytes(rng.randrange(1, 20000))[: size - file.tell()])


@pytest.mark.parametrize("seed", range(12))
def test_same_answer_as_cmp_over_files_with_holes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randrange(1, 600) * 4096
    a, b = tmp_path / "a", tmp_path / "b"
    sparse_file(a, size, rng)
    if seed % 2:
        sparse_file(b, size, rng)
    else:
        shutil.copy(a, b)
    with b.open("r+b") as file:
        for _ in range(rng.randrange(50)):
            file.seek(rng.randrange(size))
            file.write(rng.randbytes(1))
    os.truncate(b, size)
    whole = [Segment(0, size, 0)]
    assert flat(compare(RamFile(str(a), whole), RamFile(str(b), whole))) == cmp_l(a, b)


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(min_size=1, max_size=700),
    changes=st.lists(st.tuples(st.integers(0, 699), st.integers(1, 255)), max_size=30),
    start=st.integers(0, 9000),
)
def test_every_changed_byte_and_nothing_else(data, changes, start) -> None:
    other = bytearray(data)
    for at, mix in changes:
        other[at % len(data)] ^= mix
    a = BufferMemory(data, [Segment(start, len(data), 0)])
    b = BufferMemory(other, [Segment(5, len(data), 0)])
    runs = compare(a, b, Span(start, 5, len(data)))
    expected = [
        (start + i, x, y) for i, (x, y) in enumerate(zip(data, other, strict=False)) if x != y
    ]
    assert flat(runs) == expected
    assert all(run.b - 5 == run.a - start for run in runs)
    for run in runs:
        assert run.a // 4096 == (run.a + len(run.old) - 1) // 4096


@pytest.mark.parametrize("block", [4096, 8192, diff.BLOCK])
def test_differences_at_block_borders(monkeypatch, block) -> None:
    monkeypatch.setattr(diff, "BLOCK", block)
    size = 3 * diff.BLOCK + 20000
    data, other = bytes(size), bytearray(size)
    spots = [0, block - 1, block, 2 * block, size - 1, 4095, 4096, 16383, 16384]
    for at in spots:
        other[at] = 1
    found = flat(compare(BufferMemory(data), BufferMemory(other)))
    assert [at for at, _, _ in found] == sorted(set(spots))


def test_spans_in_the_middle_of_pages() -> None:
    data = bytes(10000)
    other = b"\1" * 10000
    runs = compare(BufferMemory(data), BufferMemory(other), Span(100, 200, 5000))
    assert (runs[0].a, runs[0].b) == (100, 200)
    assert sum(len(run.old) for run in runs) == 5000
    assert len(runs) == 2


def test_summary() -> None:
    other = bytearray(20000)
    other[10] = other[11] = other[9000] = 1
    a, b = BufferMemory(bytes(20000)), BufferMemory(other)
    summary = DiffSummary()
    for page in differing_pages(a, b, common_spans(a, b)):
        summary.add(page)
    assert summary == DiffSummary(pages=2, different=3, first=10, last=9000)


def test_holes_of_both_are_not_read() -> None:
    class Holey(BufferMemory):
        """Says that only its second megabyte holds anything."""

        asked: list[int]

        def extents(self, within=None):
            yield AddressRange(1 << 20, 2 << 20)

        def readinto(self, address, buffer):
            assert 1 << 20 <= address < 2 << 20
            super().readinto(address, buffer)

    data = bytearray(4 << 20)
    data[(1 << 20) + 5] = 1
    a, b = Holey(bytes(4 << 20)), Holey(data)
    assert flat(compare(a, b)) == [((1 << 20) + 5, 0, 1)]


def test_common_spans_of_different_machines() -> None:
    gib = 1 << 30
    small = BufferMemory(bytes(16))
    small.segments = type(small.segments)([Segment(0, 2 * gib, 0)])
    big = BufferMemory(bytes(16))
    big.segments = type(big.segments)([Segment(gib, 2 * gib, 0), Segment(4 * gib, gib, 0)])
    assert common_spans(small, big) == (Span(gib, gib, gib),)


def test_a_span_outside_ram_faults_before_anything_is_compared() -> None:
    a, b = BufferMemory(bytes(100)), BufferMemory(bytes(50))
    with pytest.raises(FaultError, match="beyond the end"):
        list(differing_pages(a, b, [Span(0, 0, 60)]))


def test_a_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"\1" * (1 << 20))
    a = RamFile(str(path), [Segment(0, 1 << 20, 0)])
    b = BufferMemory(bytes(1 << 20))
    pages = differing_pages(a, b, common_spans(a, b))
    next(pages)
    os.truncate(path, 4096)
    with pytest.raises(TargetError, match="shrank"):
        list(pages)


def test_page_of_alternating_bytes() -> None:
    page = PageDiff(0, 0, bytes(4096), b"\0\1" * 2048)
    assert page.count == 2048
    assert len(list(page.runs())) == 2048
    assert page.extent == (1, 4096)
