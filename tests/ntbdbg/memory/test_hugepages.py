# SPDX-License-Identifier: MIT
"""RAM files in huge pages: nothing is allocated by looking, and a patch is a mapping's work."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ntbdbg.errors import TargetError
from ntbdbg.inspect.diff import Span, differing_pages
from ntbdbg.inspect.livecopy import LiveCopy, Pair
from ntbdbg.inspect.memmap import memory_map
from ntbdbg.inspect.search import search
from ntbdbg.inspect.value import literal
from ntbdbg.memory import AddressRange, RamFile, Segment, hugepages
from tests.ntbdbg.conftest import Run
from tests.support.hugetlbfs import PAGE, free_pages, huge_folder

SIZE = 16 * PAGE
WHOLE = [Segment(0, SIZE, 0)]


def sparse(path: Path) -> Path:
    """A RAM file with one page, the second, that holds something."""
    with path.open("wb") as file:
        file.truncate(SIZE)
    ram = open_ram(path)
    ram.write(PAGE + 8, b"needle")
    return path


def open_ram(path: Path) -> RamFile:
    return RamFile(str(path), WHOLE, name="qemu1")


def look(memory: RamFile) -> None:
    """All that goes through a whole memory."""
    assert [match.address for match in search(memory, literal(b"needle"))] == [PAGE + 8]
    assert list(differing_pages(memory, memory, [Span(0, 0, SIZE)])) == []
    assert bytes(memory.view(PAGE + 8, 6)) == b"needle"
    (area,) = memory_map(memory)[:1]
    assert area.allocated is None


def copy(memory: RamFile, path: Path) -> bytes:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with LiveCopy([Pair(memory, fd)], 2) as copies:
            copies.update()
            memory.write(PAGE + 8, b"noodle")
            copies.update()
    finally:
        os.close(fd)
    return path.read_bytes()


# -- anywhere, with a file system that says it is one ---------------------------------------


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ordinary file, on what the system calls hugetlbfs."""
    monkeypatch.setattr(os, "fstatvfs", lambda fd: SimpleNamespace(f_bsize=PAGE))
    monkeypatch.setattr(hugepages, "file_system", lambda fd: hugepages.MAGIC)
    return sparse(tmp_path / "ram")


def test_nothing_is_looked_at_through_a_mapping(
    pretended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = open_ram(pretended)
    assert (memory.file.huge_page, memory.knows_holes) == (PAGE, False)
    monkeypatch.setattr(RamFile, "_map", lambda self: pytest.fail("a mapping was made"))
    monkeypatch.setattr(LiveCopy, "_mapped", lambda self, pair: pytest.fail("mapped"))
    look(memory)
    assert list(memory.extents()) == [AddressRange(0, SIZE)]
    copied = copy(memory, tmp_path / "copy")
    assert copied == pretended.read_bytes()
    assert copied[PAGE + 8 : PAGE + 14] == b"noodle"


def test_a_write_reaches_over_pages_and_segments(pretended: Path) -> None:
    pieces = [Segment(0, PAGE, 2 * PAGE), Segment(PAGE, SIZE - 3 * PAGE, 3 * PAGE)]
    memory = RamFile(str(pretended), pieces, name="qemu1")
    memory.write(PAGE - 3, b"abcdef")
    memory.write(3 * PAGE - 1, b"xy")
    assert memory.read(PAGE - 4, 8) == b"\0abcdef\0"
    raw = pretended.read_bytes()
    assert raw[3 * PAGE - 3 : 3 * PAGE + 3] == b"abcdef"
    assert raw[5 * PAGE - 1 : 5 * PAGE + 1] == b"xy"


def test_without_a_page_nothing_is_written_and_the_reason_is_told(
    pretended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = open_ram(pretended)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", full)
    with pytest.raises(TargetError) as caught:
        memory.write(PAGE + 8, b"x")
    assert str(caught.value) == (
        f"qemu1: cannot write to RAM file {pretended}: Cannot allocate memory; it is on hugetlbfs: "
        "'grep Huge /proc/meminfo' shows whether huge pages are left"
    )
    assert memory.read(PAGE + 8, 6) == b"needle"


def test_other_file_systems_of_large_blocks_are_as_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda fd: SimpleNamespace(f_bsize=PAGE))
    memory = open_ram(sparse(tmp_path / "ram"))
    assert (memory.file.huge_page, memory.knows_holes) == (0, True)


# -- for real -----------------------------------------------------------------------------


@pytest.fixture
def huge(tmp_path: Path) -> Iterator[Path]:
    """A folder with four huge pages."""
    with huge_folder(tmp_path / "huge", 4) as folder:
        yield folder


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_looking_takes_no_huge_page(huge: Path, tmp_path: Path) -> None:
    ram = sparse(huge / "ram")
    assert blocks(ram) == PAGE
    memory = open_ram(ram)
    look(memory)
    assert copy(memory, tmp_path / "copy")[PAGE + 8 : PAGE + 14] == b"noodle"
    assert blocks(ram) == PAGE


@pytest.fixture
def commands(huge: Path, tmp_path: Path, ntbdbg: Run) -> Callable[..., str]:
    state = dict(os.environ, XDG_STATE_HOME=str(tmp_path / "state"))

    def run(*words: str) -> str:
        done = ntbdbg(*words, env=state, cwd=huge)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_patch_and_its_undo(huge: Path, commands: Callable[..., str]) -> None:
    sparse(huge / "ram")
    assert commands("patch", "./ram", "0x5000", "str:x") == "patch 1: ./ram:0x5000: 00 -> 78\n"
    assert " applied " in commands("patch", "--list")
    assert commands("dump", "./ram", "0x5000", "1").startswith("00005000: 78")
    commands("undo")
    assert commands("dump", "./ram", "0x5000", "1").startswith("00005000: 00")
    assert commands("search", "./ram", "str:needle", "-c") == "1\n"
    assert blocks(huge / "ram") == 2 * PAGE


def test_map_does_not_know_what_is_allocated(huge: Path, commands: Callable[..., str]) -> None:
    sparse(huge / "ram")
    assert "unknown" in commands("map", "./ram").splitlines()[1].split()
    areas = json.loads(commands("map", "./ram", "--json"))["areas"]
    assert {area["allocated"] for area in areas} == {None}


def test_where_no_huge_page_is_left_nothing_is_journalled(
    huge: Path, tmp_path: Path, commands: Callable[..., str], ntbdbg: Run
) -> None:
    sparse(huge / "ram")
    taken = RamFile(str(huge / "ram"), WHOLE)
    for number in range(2, 5):
        taken.write(number * PAGE, b"taken")
    env = dict(os.environ, XDG_STATE_HOME=str(tmp_path / "state"))
    done = ntbdbg("patch", "./ram", "0x5000", "str:x", env=env, cwd=huge)
    assert done.returncode == 3
    assert "Cannot allocate memory; it is on hugetlbfs" in done.stderr
    assert commands("patch", "--list") == ""
    assert blocks(huge / "ram") == 4 * PAGE
    assert free_pages() >= 0
