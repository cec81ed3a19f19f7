# SPDX-License-Identifier: MIT
"""Where other threads run nobody is forked, and the work is done all the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntbdbg.inspect import search, workers
from ntbdbg.inspect.diff import common_spans, differing_pages
from ntbdbg.inspect.livecopy import LiveCopy, Pair
from ntbdbg.inspect.value import literal
from ntbdbg.memory import BufferMemory, RamFile, Segment


@pytest.fixture
def other_thread() -> Iterator[None]:
    """A thread beside this one, as long as the test runs."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


@pytest.mark.usefixtures("other_thread")
def test_nobody_is_forked_beside_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_workers", lambda: 4)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    assert not workers.may_share_out()
    size = 65 << 20
    a, b = BufferMemory(bytes(size)), BufferMemory(bytes(size - 1) + b"\1")
    assert list(differing_pages(a, b, common_spans(a, b)))
    assert [match.address for match in search.search(b, literal(b"\1"))] == [size - 1]


def test_threads_of_libraries_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_workers", lambda: 4)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "listdir", lambda path: ["1", "2"] if "task" in path else [])
    assert not workers.may_share_out()
    monkeypatch.setattr(os, "listdir", lambda path: ["1"])
    assert workers.may_share_out()


@pytest.mark.usefixtures("other_thread")
def test_a_live_copy_beside_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    size = 5 << 20
    source, copy = tmp_path / "ram", tmp_path / "copy"
    source.write_bytes(os.urandom(size // 2))
    os.truncate(source, size)
    ram = RamFile(str(source), [Segment(0, size, 0)])
    with copy.open("w+b") as file, LiveCopy([Pair(ram, file.fileno())], passes=2) as made:
        assert made.update() == size // 2
        with source.open("r+b") as changed:
            changed.seek(4096)
            changed.write(bytes(4096))
        assert made.update() == 4096
    assert copy.read_bytes() == source.read_bytes()
