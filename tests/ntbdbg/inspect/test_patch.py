# SPDX-License-Identifier: MIT
"""Patches, their journal, and taking them back."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, FormatError, RefusedError, TargetError
from ntbdbg.inspect import patch as patches
from ntbdbg.inspect.journal import Journal, Patch
from ntbdbg.memory import RamFile, Segment

SIZE = 1 << 16
LOW = 1 << 12


@pytest.fixture
def ram(tmp_path: Path) -> RamFile:
    """64 KiB, the first 4 KiB at address 0, the rest at 1 MiB."""
    path = tmp_path / "ram"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    segments = [Segment(0, LOW, 0), Segment(1 << 20, SIZE - LOW, LOW)]
    return RamFile(str(path), segments, name="qemu1")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "patches.jsonl")


def store(ram: RamFile, journal: Journal, address: int, new: bytes) -> Patch:
    return patches.apply(ram, patches.prepare(ram, address, new, now=1.5), journal)


def test_a_patch_is_journalled_applied_and_undone(ram: RamFile, journal: Journal) -> None:
    done = store(ram, journal, 0x10, b"abc")
    assert (done.number, done.old, done.new) == (1, b"\x10\x11\x12", b"abc")
    assert ram.read(0x10, 3) == b"abc"
    assert journal.patches() == [done]
    assert patches.state(done) == "applied"
    assert patches.undo(patches.pick(journal.patches(), None), journal) == b"abc"
    assert ram.read(0x10, 3) == b"\x10\x11\x12"
    assert patches.state(journal.patches()[0]) == "undone"


def test_the_journal_is_on_disk_before_the_memory_changes(
    ram: RamFile, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_write = os.fsync, RamFile.write
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), real_fsync(fd))[1])

    def write(self: RamFile, address: int, data: bytes) -> None:
        events.append("write")
        assert Journal(journal.path).patches()[-1].old == ram.read(address, len(data))
        real_write(self, address, data)

    monkeypatch.setattr(RamFile, "write", write)
    store(ram, journal, 0, b"xyz")
    assert events == ["sync", "sync", "write"]


def test_the_journal_is_private(ram: RamFile, journal: Journal) -> None:
    store(ram, journal, 0, b"x")
    assert stat.S_IMODE(os.stat(journal.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(Path(journal.path).parent).st_mode) == 0o700


def test_expectation(ram: RamFile) -> None:
    assert patches.prepare(ram, 0, b"x", now=0, expect=b"\0\1\2").old == b"\0"
    with pytest.raises(RefusedError) as caught:
        patches.prepare(ram, 0, b"x", now=0, expect=b"\0\2")
    assert str(caught.value) == (
        "qemu1:0x0 holds 00 01, not 00 02: nothing was changed; "
        "look at it with 'ntbdbg dump', or leave out --expect"
    )


def test_a_patch_into_a_hole_is_a_fault_and_leaves_no_trace(ram: RamFile, journal: Journal) -> None:
    with pytest.raises(FaultError):
        store(ram, journal, LOW - 1, b"xy")
    assert journal.patches() == []
    assert ram.read(LOW - 1, 1) == b"\xff"


def test_undo_refuses_when_the_bytes_changed_unless_forced(ram: RamFile, journal: Journal) -> None:
    done = store(ram, journal, 0, b"abc")
    ram.write(1, b"!")
    assert patches.state(done) == "overwritten"
    with pytest.raises(RefusedError) as caught:
        patches.undo(done, journal)
    assert str(caught.value) == (
        "qemu1:0x0 changed since patch 1: it holds 61 21 63, not 61 62 63; nothing was changed; "
        "undo later patches first, or overwrite it with --force"
    )
    assert ram.read(0, 3) == b"a!c"
    assert patches.undo(done, journal, force=True) == b"a!c"
    assert ram.read(0, 3) == b"\0\1\2"


def test_undo_of_what_is_old_already_is_fine(ram: RamFile, journal: Journal) -> None:
    done = store(ram, journal, 0, b"abc")
    ram.write(0, done.old)
    assert patches.undo(done, journal) == done.old
    assert journal.patches()[0].undone


def test_overlapping_patches_come_off_in_reverse(ram: RamFile, journal: Journal) -> None:
    before = ram.read(0, 8)
    for address, data in ((0, b"aaaa"), (2, b"bbbb"), (1, b"cc")):
        store(ram, journal, address, data)
    with pytest.raises(RefusedError, match="changed since patch 1"):
        patches.undo(patches.pick(journal.patches(), 1), journal)
    for _ in range(3):
        patches.undo(patches.pick(journal.patches(), None), journal)
    assert ram.read(0, 8) == before
    with pytest.raises(RefusedError, match="there is nothing to undo; 'ntbdbg patch --list'"):
        patches.pick(journal.patches(), None)


@pytest.mark.parametrize(("number", "why"), [(1, "was undone already"), (7, "there is no patch 7")])
def test_undo_by_number(ram: RamFile, journal: Journal, number: int, why: str) -> None:
    patches.undo(store(ram, journal, 0, b"x"), journal)
    with pytest.raises(RefusedError, match=why):
        patches.pick(journal.patches(), number)


def test_patches_of_an_earlier_run_are_gone(ram: RamFile, journal: Journal) -> None:
    done = store(ram, journal, 0, b"x")
    path = Path(ram.file.path)
    new = path.with_name("new")
    new.write_bytes(bytes(SIZE))
    new.replace(path)
    assert patches.state(done) == "gone"
    with pytest.raises(RefusedError, match="nothing to undo"):
        patches.pick(journal.patches(), None)
    with pytest.raises(TargetError, match="was replaced by another file"):
        patches.undo(done, journal)
    assert path.read_bytes()[:1] == b"\0"


@pytest.mark.parametrize("torn", [b"{", b'{"patch": 2, "time": 1', b"\0\0\0\0"])
def test_a_torn_last_line_is_dropped(ram: RamFile, journal: Journal, torn: bytes) -> None:
    first = store(ram, journal, 0, b"x")
    with open(journal.path, "ab") as file:
        file.write(torn)
    assert journal.patches() == [first]
    second = store(ram, journal, 1, b"y")
    assert second.number == 2
    assert journal.patches() == [first, second]
    for line in Path(journal.path).read_bytes().splitlines():
        json.loads(line)


@pytest.mark.parametrize("line", [b"nonsense\n", b"{}\n", b"[]\n", b'{"undo": 9}\n', b"7\n"])
def test_a_line_that_is_not_ours_stops_everything(
    ram: RamFile, journal: Journal, line: bytes
) -> None:
    store(ram, journal, 0, b"x")
    size = os.stat(journal.path).st_size
    with open(journal.path, "ab") as file:
        file.write(line)
    with pytest.raises(FormatError) as caught:
        store(ram, journal, 1, b"y")
    assert str(caught.value) == (
        f"{journal.path}+{size:#x}: no line of a patch journal; "
        "move the journal away to start a new one"
    )
    assert ram.read(1, 1) == b"\1"


FULL = """
import resource, sys
from ntbdbg.inspect import patch
from ntbdbg.inspect.journal import Journal
from ntbdbg.memory import RamFile, Segment
from ntbdbg.errors import TargetError
ram = RamFile(sys.argv[1], [Segment(0, 4096, 0)], name="qemu1")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    patch.apply(ram, patch.prepare(ram, 0, b"x" * 512, now=0), Journal(sys.argv[2]))
except TargetError as error:
    print(error)
"""


def test_without_room_for_the_journal_nothing_is_patched(ram: RamFile, journal: Journal) -> None:
    """A file size limit cuts the line short as a full disk does, at a place of our choice."""
    store(ram, journal, 8, b"y")
    kept = Path(journal.path).read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, ram.file.path, journal.path, str(len(kept) + 100)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == (
        f"patch journal {journal.path}: No space left on device; no memory was changed; "
        "the old bytes must be safe first: make room there, or see to its permissions\n"
    ), done.stderr
    assert ram.read(0, 8) == bytes(range(8))
    assert Path(journal.path).read_bytes() == kept


def test_without_permission_for_the_journal_nothing_is_patched(
    ram: RamFile, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    journal = Journal(tmp_path / "file" / "patches.jsonl")
    with pytest.raises(TargetError, match=r"patch journal .* no memory was changed"):
        store(ram, journal, 0, b"x")
    assert ram.read(0, 1) == b"\0"


def fails(error: BaseException) -> object:
    def write(self: RamFile, address: int, data: bytes) -> None:
        raise error

    return write


def test_a_patch_that_could_not_be_written_is_not_journalled(
    ram: RamFile, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store(ram, journal, 0, b"x")
    with monkeypatch.context() as patched:
        patched.setattr(RamFile, "write", fails(TargetError("no room")))
        with pytest.raises(TargetError, match="no room"):
            store(ram, journal, 8, b"y")
        with pytest.raises(TargetError, match="no room"):
            patches.undo(first, journal)
    assert [patches.state(patch) for patch in journal.patches()] == ["applied"]
    assert store(ram, journal, 8, b"y").number == 2


def test_a_patch_that_was_cut_short_stays_in_the_journal(
    ram: RamFile, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what of it is in memory, so the old bytes must not be forgotten."""
    monkeypatch.setattr(RamFile, "write", fails(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        store(ram, journal, 8, b"y")
    assert [patch.old for patch in journal.patches()] == [b"\x08"]


def test_two_patches_of_one_number_are_told_apart_by_nobody(ram: RamFile) -> None:
    twin = patches.prepare(ram, 0, b"x", now=0)._replace(number=3)
    with pytest.raises(RefusedError, match="2 patches have number 3"):
        patches.pick([twin, twin], 3)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=12)), min_size=1, max_size=6
    )
)
def test_undoing_everything_restores_everything(
    ram: RamFile, journal: Journal, changes: list[tuple[int, bytes]]
) -> None:
    before = ram.read(0, LOW)
    for address, data in changes:
        store(ram, journal, address, data)
    for _ in changes:
        patches.undo(patches.pick(journal.patches(), None), journal)
    assert ram.read(0, LOW) == before
