# SPDX-License-Identifier: MIT
"""Patches of files that are no guest's, and of RAM files by their paths, whatever labs run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ntbdbg.lab.manifest import SegmentRecord
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab

MIB = 1 << 20


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A RAM file that no lab knows."""
    path = tmp_path / "bare.ram"
    path.write_bytes(bytes(MIB))
    return path


@pytest.fixture
def second(lab: FakeLab) -> Iterator[FakeLab]:
    """A second live lab of the same user."""
    with FakeLab(lab.root, name="other", guests=("qemu1",)) as other:
        yield other


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bare_file_beside_a_lab_is_journalled_by_itself(
    lab: FakeLab, bare: Path, ntbdbg: Run
) -> None:
    ok(ntbdbg("patch", bare, "0x2000", "u32:7"))
    assert not (lab.folder / "patches.jsonl").exists()
    shutil.rmtree(lab.folder)  # as the launcher does when it stops a lab
    assert ok(ntbdbg("undo")) == f"undo 1: {bare}:0x2000: 07 00 00 00 -> 00 00 00 00\n"
    assert bare.read_bytes() == bytes(MIB)


def test_a_lab_that_starts_later_hides_no_patch(lab: FakeLab, bare: Path, ntbdbg: Run) -> None:
    before = lab.environ | {"XDG_RUNTIME_DIR": str(bare.parent / "none")}
    ok(ntbdbg("patch", bare, "0x2000", "u32:7", env=before))
    assert f"applied      {bare}:0x2000" in ok(ntbdbg("patch", "--list"))
    assert ok(ntbdbg("undo")).startswith("undo 1: ")
    assert bare.read_bytes() == bytes(MIB)


def test_numbers_are_one_row_over_all_journals(lab: FakeLab, bare: Path, ntbdbg: Run) -> None:
    for target in ("qemu1", bare, "qemu2", bare):
        ok(ntbdbg("patch", target, "0", "u8:1"))
    listed = json.loads(ok(ntbdbg("patch", "--list", "--json")))["patches"]
    assert [(p["number"], p["guest"]) for p in listed] == [
        (1, "qemu1"),
        (2, str(bare)),
        (3, "qemu2"),
        (4, str(bare)),
    ]
    assert ok(ntbdbg("undo", "1")) == "undo 1: qemu1:0x0: 01 -> 00\n"
    assert ok(ntbdbg("undo")).startswith(f"undo 4: {bare}")
    assert ok(ntbdbg("undo")).startswith("undo 3: qemu2")
    assert ok(ntbdbg("undo")).startswith(f"undo 2: {bare}")
    assert ntbdbg("undo").returncode == 1


def test_while_it_is_open_which_lab_is_meant_bare_files_are_undone(
    lab: FakeLab, second: FakeLab, bare: Path, ntbdbg: Run
) -> None:
    assert ntbdbg("undo").returncode == 2
    assert ntbdbg("patch", "--list").returncode == 2
    ok(ntbdbg("patch", bare, "0", "u8:1"))
    ok(ntbdbg("patch", "qemu1", "0", "u8:1", "--lab", "other"))
    done = ntbdbg("undo")
    assert ok(done).startswith(f"undo 1: {bare}")
    assert "several labs run: default, other: these are patches of bare RAM files" in done.stderr
    assert ok(ntbdbg("undo", "--lab", "other")) == "undo 2: qemu1:0x0: 01 -> 00\n"


@pytest.mark.parametrize("lost", ["file", "folder"])
def test_without_a_journal_for_it_a_bare_file_stays_as_it_is(
    lab: FakeLab, bare: Path, ntbdbg: Run, lost: str
) -> None:
    state = lab.root / "state"
    if lost == "file":
        state.write_bytes(b"")
    else:
        (state / "ntbdbg" / "patches.jsonl").mkdir(parents=True)
    done = ntbdbg("patch", bare, "0", "u8:1")
    assert done.returncode == 3
    assert "no memory was changed; the old bytes must be safe first: make room" in done.stderr
    assert bare.read_bytes() == bytes(MIB)
    # What it is about is another file: a guest of the lab has a journal of its own.
    ok(ntbdbg("patch", "qemu1", "0", "u8:1"))
    listed = ntbdbg("patch", "--list")
    assert "applied      qemu1:0x0" in ok(listed)
    assert "patches of files that are no guest's are not known" in listed.stderr


# -- RAM files of labs by their paths -----------------------------------------------------


def test_a_labs_ram_file_by_its_path_is_that_guest(lab: FakeLab, ntbdbg: Run) -> None:
    path = lab.ram_path("qemu1")
    note = f"note: {path} is the RAM of qemu1 in lab 'default', which is taken\n"
    done = ntbdbg("patch", path, "0", "u8:1")
    assert (ok(done), done.stderr) == ("patch 1: qemu1:0x0: 00 -> 01\n", note)
    assert (lab.folder / "patches.jsonl").exists()
    assert not (lab.root / "state").exists()
    found = json.loads(ok(ntbdbg("dump", path, "0", "4", "--json")))
    assert (found["guest"], found["live"]) == ("qemu1", True)
    named = ntbdbg("--from", path, "dump", "qemu1", "0", "4")
    assert ok(named).startswith("00000000: 0100 0000")
    assert note in named.stderr


def test_it_lies_where_run_json_says(lab: FakeLab, ntbdbg: Run) -> None:
    record = lab.manifest.guest("qemu1").ram
    moved = (SegmentRecord(0, 8 * MIB, 0), SegmentRecord(1 << 32, 8 * MIB, 8 * MIB))
    lab.edit("qemu1", ram=replace(record, segments=moved))
    with lab.ram_path("qemu1").open("r+b") as file:
        file.seek(8 * MIB)
        file.write(b"above")
    path = lab.ram_path("qemu1")
    assert "above" in ok(ntbdbg("dump", path, "4G", "16"))
    forced = ntbdbg("dump", path, "8M", "16", "--segments", "0:16M:0")
    assert "above" in ok(forced)
    assert "in lab" not in forced.stderr


def test_the_file_says_which_lab_is_meant(lab: FakeLab, second: FakeLab, ntbdbg: Run) -> None:
    path = second.ram_path("qemu1")
    done = ntbdbg("patch", path, "0", "u8:5", "--freeze")
    assert ok(done) == "patch 1: qemu1:0x0: 00 -> 05\n"
    assert f"{path} is the RAM of qemu1 in lab 'other'" in done.stderr
    assert second.qmp["qemu1"].log.count("stop") == 1
    assert "stop" not in lab.qmp["qemu1"].log
    assert (second.folder / "patches.jsonl").exists()


def test_another_lab_may_be_open(lab: FakeLab, second: FakeLab, ntbdbg: Run) -> None:
    path = second.ram_path("qemu1")
    ok(ntbdbg("patch", path, "0", "u8:5", "--lab", "default"))
    assert (second.folder / "patches.jsonl").exists()
    assert not (lab.folder / "patches.jsonl").exists()


def test_a_file_that_took_the_number_of_a_dead_guests_is_bare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ntbdbg: Run
) -> None:
    with FakeLab(tmp_path / "run", live=False) as dead:
        dead.monkeypatch(monkeypatch)
        path = dead.ram_path("qemu1")
        assert "in lab 'default'" in ntbdbg("dump", path, "0", "4").stderr
        moved = path.rename(tmp_path / "moved.ram")
        done = ntbdbg("dump", moved, "0", "4")
        assert "no run.json knows it" in done.stderr
