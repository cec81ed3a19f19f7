# SPDX-License-Identifier: MIT
"""The comparison by forked workers: the same answer, errors handed over, nothing left behind."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from ntbdbg.errors import TargetError
from ntbdbg.inspect import diff, workers
from ntbdbg.inspect.diff import DiffSummary, common_spans, differing_pages
from ntbdbg.memory import BufferMemory, RamFile, Segment


@pytest.fixture(autouse=True)
def always_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "PARALLEL", 0)
    monkeypatch.setattr(diff, "STRIDE", 64 * 1024)
    monkeypatch.setattr(diff, "usable_workers", lambda: 3)
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
