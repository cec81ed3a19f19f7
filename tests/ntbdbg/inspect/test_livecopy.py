# SPDX-License-Identifier: MIT
"""Copies of files that change: equal after the last pass, sparse, and without traces on failure."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntbdbg.errors import TargetError
from ntbdbg.inspect import livecopy
from ntbdbg.inspect.livecopy import LiveCopy, Pair
from ntbdbg.memory import RamFile, Segment
from tests.ntbdbg.inspect.test_workers import children

MIB = 1 << 20
SIZE = 9 * MIB + 4096
KEEP_SIZE, PUNCH_HOLE = 1, 2


class Sources:
    """RAM files and their copies in a folder."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.paths = [folder / f"ram{n}" for n in range(count)]
        self.copies = [folder / f"copy{n}" for n in range(count)]
        self.pairs = []
        for path, copy in zip(self.paths, self.copies, strict=True):
            path.touch()
            os.truncate(path, SIZE)
            ram = RamFile(str(path), [Segment(0, SIZE, 0)])
            self.pairs.append(Pair(ram, os.open(copy, os.O_RDWR | os.O_CREAT, 0o600)))

    def poke(self, number: int, offset: int, data: bytes) -> None:
        with self.paths[number].open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def equal(self) -> bool:
        pairs = zip(self.paths, self.copies, strict=True)
        return all(path.read_bytes() == copy.read_bytes() for path, copy in pairs)

    def close(self) -> None:
        for pair in self.pairs:
            os.close(pair.copy)


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    made = Sources(tmp_path)
    yield made
    made.close()


def punch(path: Path, offset: int, size: int) -> None:
    """Give pages back, as the guest's balloon does."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file:
        arguments = (file.fileno(), KEEP_SIZE | PUNCH_HOLE, offset, size)
        assert libc.fallocate(*map(ctypes.c_long, arguments)) == 0, os.strerror(ctypes.get_errno())


def test_copies_are_equal_and_as_sparse(sources: Sources) -> None:
    sources.poke(0, 5, b"hello")
    sources.poke(0, 3 * MIB, bytes(MIB))
    sources.poke(1, SIZE - 3, b"end")
    before = children()
    with LiveCopy(sources.pairs, 1) as copy:
        assert copy.update() == 2 * 4096
    assert sources.equal()
    assert children() == before
    assert [path.stat().st_blocks * 512 for path in sources.copies] == [4096, 4096]


@pytest.mark.parametrize("seed", range(3))
def test_each_pass_brings_what_changed_since(sources: Sources, seed: int) -> None:
    rng = random.Random(seed)
    sources.poke(0, 0, rng.randbytes(2 * MIB))
    sources.poke(1, 5 * MIB, rng.randbytes(3 * MIB))
    with LiveCopy(sources.pairs, 4) as copy:
        copy.update()
        for _ in range(2):
            changed = set()
            for _ in range(50):
                number, at = rng.randrange(2), rng.randrange(SIZE - 1)
                changed.add((number, at // 4096))
                sources.poke(number, at, b"\xa5")
            copied = copy.update()
            assert copied <= 4096 * len(changed)
            assert sources.equal()
        assert copy.update() == 0


def test_pages_that_the_host_took_back_are_zeros(sources: Sources) -> None:
    sources.poke(0, 0, b"x" * MIB)
    with LiveCopy(sources.pairs, 2) as copy:
        copy.update()
        punch(sources.paths[0], 64 * 1024, 128 * 1024)
        copy.update()
    assert sources.equal()
    assert sources.copies[0].read_bytes()[64 * 1024 : 192 * 1024] == bytes(128 * 1024)


def test_looking_at_a_source_allocates_nothing(sources: Sources) -> None:
    sources.poke(0, MIB, b"x")
    before = [path.stat().st_blocks for path in sources.paths]
    with LiveCopy(sources.pairs, 2) as copy:
        copy.update()
        copy.update()
    assert [path.stat().st_blocks for path in sources.paths] == before


def test_progress_ends_with_all_of_it(sources: Sources) -> None:
    told: list[tuple[int, int]] = []
    with LiveCopy(sources.pairs, 1) as copy:
        copy.update(lambda done, total: told.append((done, total)))
    assert told[-1] == (2 * SIZE, 2 * SIZE)
    assert told == sorted(told)


def test_a_source_that_is_truncated_is_an_error(sources: Sources) -> None:
    sources.poke(0, 0, b"x" * 8 * MIB)
    with LiveCopy(sources.pairs, 2) as copy:
        copy.update()
        os.truncate(sources.paths[0], MIB)
        with pytest.raises(TargetError, match=r"ram0: RAM file .* shrank|vanished while"):
            copy.update()


def test_a_copy_that_cannot_be_written_is_an_error(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.poke(0, 0, b"x")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(livecopy.os, "pwrite", full)
    before = children()
    with LiveCopy(sources.pairs, 1) as copy:
        with pytest.raises(TargetError) as caught:
            copy.update()
        assert str(caught.value) == (
            "the copy of ram0 cannot be written: No space left on device; "
            "make room there, or write to another place"
        )
    assert children() == before


KILLED = """
import os, sys
from pathlib import Path
from tests.ntbdbg.inspect.test_livecopy import LiveCopy, Sources, children
copy = LiveCopy(Sources(Path(sys.argv[1])).pairs, 2)
copy.update()
print(*children(), flush=True)
os.kill(os.getpid(), 9)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    workers = done.stdout.split()
    assert workers
    # run() waited for the end of their stdout, which is that of the parent.
    assert [pid for pid in workers if Path(f"/proc/{pid}/exe").exists()] == []
