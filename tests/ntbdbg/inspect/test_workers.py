# SPDX-License-Identifier: MIT
"""The comparison by forked workers: the same answer, errors handed over, nothing left behind."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from ntbdbg.errors import FaultError, TargetError
from ntbdbg.inspect import diff, workers
from ntbdbg.inspect.diff import DiffSummary, common_spans, differing_pages
from ntbdbg.memory import BufferMemory, RamFile, Segment


@pytest.fixture(autouse=True)
def always_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "PARALLEL", 0)
    monkeypatch.setattr(diff, "STRIDE", 64 * 1024)
    monkeypatch.setattr(diff, "may_share_out", lambda: True)
    monkeypatch.setattr(workers, "usable_workers", lambda: 3)


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def flat(pages) -> list[tuple[int, bytes, bytes]]:
    return [(run.a, run.old, run.new) for page in pages for run in page.runs()]


@pytest.mark.parametrize("seed", range(4))
def test_same_answer_as_without(monkeypatch, seed: int) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(2_000_000)
    other = bytearray(data)
    for at in rng.sample(range(len(data)), 500 * seed):
        other[at] ^= 1
    a, b = BufferMemory(data), BufferMemory(other)
    before = children()
    by_workers = flat(differing_pages(a, b, common_spans(a, b)))
    assert children() == before
    monkeypatch.setattr(diff, "PARALLEL", 1 << 40)
    assert by_workers == flat(differing_pages(a, b, common_spans(a, b)))


def test_everything_differs_which_fills_the_pipes() -> None:
    size = 8 << 20
    a, b = BufferMemory(bytes(size)), BufferMemory(b"\1" * size)
    summary = DiffSummary()
    for page in differing_pages(a, b, common_spans(a, b)):
        summary.add(page)
    assert (summary.pages, summary.different) == (size // 4096, size)


def test_stopping_early_leaves_no_process() -> None:
    before = children()
    size = 8 << 20
    a, b = BufferMemory(bytes(size)), BufferMemory(b"\1" * size)
    pages = differing_pages(a, b, common_spans(a, b))
    next(pages)
    assert len(children() - before) == 3
    pages.close()
    assert children() == before


def test_an_error_comes_over(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"\1" * (8 << 20))
    a = RamFile(str(path), [Segment(0, 8 << 20, 0)], name="qemu1")
    b = BufferMemory(bytes(8 << 20))
    pages = differing_pages(a, b, common_spans(a, b))
    next(pages)
    os.truncate(path, 4096)
    with pytest.raises(TargetError, match=r"qemu1.*shrank") as caught:
        list(pages)
    assert caught.value.hint


def test_a_file_truncated_under_the_mapping(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"\1" * (8 << 20))
    a = BufferMemory(bytes(8 << 20))
    b = RamFile(str(path), [Segment(0, 8 << 20, 0)], name="qemu2")
    pages = differing_pages(a, b, common_spans(a, b))
    next(pages)
    os.truncate(path, 4096)
    with pytest.raises(TargetError, match=r"qemu2.*shrank"):
        list(pages)


def test_holes_are_not_allocated_by_looking(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"x")
    before = path.stat().st_blocks
    a = BufferMemory(b"\1" * (8 << 20))
    b = RamFile(str(path), [Segment(0, 8 << 20, 0)])
    assert len(list(differing_pages(a, b, common_spans(a, b)))) == 2048
    assert path.stat().st_blocks == before


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even single pages are compared where they lie."""
    monkeypatch.setattr(diff, "IN_PLACE", 1)


def holey(path: Path, rng: random.Random, pages: int) -> bytes:
    """A file with holes; gives what it reads as."""
    with path.open("wb") as file:
        file.truncate(pages * 4096)
        for page in rng.sample(range(pages), pages * 2 // 3):
            file.seek(page * 4096)
            file.write(bytes([page & 3]) * 4096)
    return path.read_bytes()


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("seed", range(6))
def test_memory_compared_in_place_gives_the_same(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    pages, half = 128, 64 * 4096
    a, b = tmp_path / "a", tmp_path / "b"
    data, other = holey(a, rng, pages), bytearray(holey(b, rng, pages))
    for at in rng.sample(range(len(other)), 40):
        other[at] ^= 0x55
        with b.open("r+b") as file:
            file.seek(at)
            file.write(other[at : at + 1])
    # Segment borders of one side in the middle of the other's extents.
    mine = RamFile(str(a), [Segment(0, 2 * half, 0)])
    theirs = RamFile(str(b), [Segment(0, half, half), Segment(half, half, 0)])
    swapped = bytes(other[half:] + other[:half])
    span = diff.Span(100, 100, 2 * half - 200)
    assert any(chunk.in_place for chunk in diff._stretches_of(mine, theirs, span))
    before = mine.allocated(), theirs.allocated()
    found = [
        (run.a + i, *pair)
        for page in differing_pages(mine, theirs, [span])
        for run in page.runs()
        for i, pair in enumerate(zip(run.old, run.new, strict=True))
    ]
    pairs = enumerate(zip(data, swapped, strict=True))
    assert found == [(at, x, y) for at, (x, y) in pairs if x != y and 100 <= at < 2 * half - 100]
    assert (mine.allocated(), theirs.allocated()) == before


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("left", [0, 4096])
def test_a_file_truncated_under_a_look_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path, whole = tmp_path / "ram", [Segment(0, 1 << 20, 0)]
    path.write_bytes(b"\1" * (1 << 20))
    other = tmp_path / "other"
    other.write_bytes(b"\1" * (1 << 20))
    a, b = RamFile(str(other), whole, name="qemu1"), RamFile(str(path), whole, name="qemu2")
    real = RamFile.view

    def view_then_truncate(self: RamFile, address: int, size: int) -> memoryview:
        view = real(self, address, size)
        if self is b:
            os.truncate(path, left)
        return view

    before = children()
    # Only one worker: others would notice before they look.
    monkeypatch.setattr(workers, "usable_workers", lambda: 1)
    monkeypatch.setattr(RamFile, "view", view_then_truncate)
    with pytest.raises(TargetError, match=r"qemu2.* shrank below its 0x100000 bytes"):
        list(differing_pages(a, b, common_spans(a, b)))
    assert children() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("in_place")
def test_only_copies_that_differ_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest writes between the look and the copy."""
    path, size = tmp_path / "ram", 16 * 4096
    path.write_bytes(b"\1" * size)
    a = RamFile(str(path), [Segment(0, size, 0)])
    b = BufferMemory(b"\1" * size)
    looks: list[int] = []

    def differs(left: int, right: int, length: int) -> int:
        looks.append(length)
        return 1

    monkeypatch.setattr(diff, "memcmp", differs)
    chunk = diff._Chunk(0, 0, size, True)
    assert list(diff._compare_in_place(a, b, chunk)) == []
    assert looks.count(4096) == 16


@pytest.mark.parametrize("a", [0, 4096, 64, 100])
@pytest.mark.parametrize("size", [4096, 128, 64, 100, 1])
def test_trimming_keeps_all_lines_with_a_difference(a: int, size: int) -> None:
    rng = random.Random(size)
    for _ in range(50):
        old = bytes(size)
        new = bytearray(old)
        for at in rng.sample(range(size), rng.randrange(1, min(size, 4) + 1)):
            new[at] = 1
        page = diff.PageDiff(a, a + 7, old, bytes(new))
        short = page.trimmed()
        assert list(short.runs()) == list(page.runs())
        assert short.b - short.a == 7
        assert len(short.old) == len(short.new)
        if a % 64 == 0 and size % 64 == 0:
            low, high = page.extent
            assert (short.a, len(short.old)) == (
                a + low // 64 * 64,
                -(-high // 64) * 64 - low // 64 * 64,
            )


def test_batches_have_what_was_given() -> None:
    parts = [diff.Span(n, n, size) for n, size in enumerate([5, 1, 1, 9, 2, 2, 1])]
    found = list(workers.in_batches(parts, 4))
    assert [batch.size for batch in found] == [5, 11, 4, 1]
    assert [part for batch in found for part in batch.parts] == parts


def test_a_killed_worker_is_an_error() -> None:
    before = children()
    size = 64 << 20
    a, b = BufferMemory(bytes(size)), BufferMemory(b"\1" * size)
    pages = differing_pages(a, b, common_spans(a, b))
    next(pages)
    for pid in children() - before:
        os.kill(int(pid), signal.SIGKILL)
    with pytest.raises(TargetError, match="killed"):
        list(pages)
    assert children() == before


def test_a_worker_that_gets_the_terminals_ctrl_c_ends_the_parent_like_it() -> None:
    """Whoever of the two hears of it first."""

    def work(_: int) -> list[int]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    results = workers.in_workers(work, [1])
    found = next(results)
    with pytest.raises(KeyboardInterrupt):
        next(found)
    results.close()


def test_what_a_worker_raised_is_told_as_its_own() -> None:
    def work(number: int) -> list[int]:
        if number:
            raise FaultError("qemu1", 0x1000, 4, "is a hole", hint="look elsewhere")
        raise ValueError("odd")

    results = workers.in_workers(work, [0, 1])
    with pytest.raises(RuntimeError, match="in a process that helped: ValueError: odd") as bug:
        next(next(results))
    assert "raise ValueError" in bug.value.__notes__[0]
    results.close()
    results = workers.in_workers(work, [1])
    with pytest.raises(FaultError, match="qemu1: 0x1000 is a hole; look elsewhere") as fault:
        next(next(results))
    assert (fault.value.address, fault.value.size, fault.value.reason) == (0x1000, 4, "is a hole")
    results.close()
