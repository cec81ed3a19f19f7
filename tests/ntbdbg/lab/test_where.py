# SPDX-License-Identifier: MIT
"""Where the lab is found, and what is said when it is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import ntbdbg as api
from ntbdbg.errors import FormatError, NtbdbgError, TargetError, UsageError
from ntbdbg.lab import where
from ntbdbg.lab.where import find
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab

MIB = 1 << 20


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeLab]:
    """Makes labs of one user; the environment leads to them, and no bare file is around."""
    made: list[FakeLab] = []

    def make(name: str, **options: object) -> FakeLab:
        lab = FakeLab(tmp_path / "run", name=name, **options)  # type: ignore[arg-type]
        lab.monkeypatch(monkeypatch)
        made.append(lab)
        return lab

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("NTBDBG_FROM", raising=False)
    monkeypatch.delenv("NTBDBG_LAB", raising=False)
    shm = tmp_path / "shm"
    shm.mkdir()
    monkeypatch.setattr(where, "BARE_FOLDER", str(shm))
    yield make  # type: ignore[misc]
    for lab in made:
        lab.close()


def test_the_only_live_lab_is_taken(make: Callable[..., FakeLab]) -> None:
    make("dead", live=False)
    live = make("alive")
    found = find()
    assert found.path == str(live.path)
    assert found.how == "the only lab that runs, 'alive'"


def test_several_live_labs_are_listed(make: Callable[..., FakeLab]) -> None:
    make("one")
    make("two")
    with pytest.raises(UsageError) as caught:
        find()
    assert str(caught.value) == (
        "several labs run: one, two; name one: --lab NAME, or --from PATH of its run.json"
    )
    assert find(lab="two").manifest.lab == "two"  # type: ignore[union-attr]


def test_from_wins_over_the_variable_and_that_over_all(
    make: Callable[..., FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = make("one"), make("two"), make("three")
    monkeypatch.setenv("NTBDBG_FROM", str(two.folder))
    assert find().path == str(two.path)
    assert find(str(three.path)).path == str(three.path)
    assert find(lab="one").path == str(one.path)
    with pytest.raises(UsageError, match="--from and --lab exclude each other"):
        find(str(three.path), "one")


def test_a_lab_may_be_named_by_its_variable(
    make: Callable[..., FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = make("one"), make("two"), make("three")
    monkeypatch.setenv("NTBDBG_LAB", "two")
    found = find()
    assert (found.path, found.how) == (str(two.path), "$NTBDBG_LAB")
    assert find(lab="one").path == str(one.path)
    assert find(str(three.path)).path == str(three.path)
    monkeypatch.setenv("NTBDBG_FROM", str(three.folder))
    assert find().path == str(three.path)
    monkeypatch.delenv("NTBDBG_FROM")
    monkeypatch.setenv("NTBDBG_LAB", "none")
    with pytest.raises(TargetError, match="no lab 'none'; this user's labs: one, three, two"):
        find()


def test_a_dead_lab_whose_ram_is_there_can_be_read(make: Callable[..., FakeLab]) -> None:
    fake = make("old", live=False)
    fake.poke("qemu1", 0x1000, b"left")
    with api.open() as lab:
        guest = lab["qemu1"]
        assert guest.read(0x1000, 4) == b"left"
        assert not guest.is_live
        assert not guest.memory.is_live
        assert lab.notes == ["qemu1 does not run: this is the RAM it left behind"]


def test_a_dead_lab_without_ram_is_as_none(make: Callable[..., FakeLab]) -> None:
    fake = make("old", live=False)
    for name in ("qemu1", "qemu2"):
        fake.ram_path(name).unlink()
    with api.open() as lab, pytest.raises(TargetError, match="no lab runs"):
        lab.guest("qemu1")
    assert lab.notes == ["lab 'old' does not run and its RAM files are gone"]
    with api.open(lab="old") as lab, pytest.raises(TargetError, match="does not exist"):
        lab.guest("qemu1")


def test_a_ram_file_of_another_run_is_not_read(make: Callable[..., FakeLab]) -> None:
    fake = make("lab")
    fake.replace_ram("qemu1")
    with api.open() as lab, pytest.raises(TargetError, match="was replaced by another file"):
        lab.guest("qemu1")


def test_two_dead_labs_are_listed(make: Callable[..., FakeLab]) -> None:
    make("one", live=False)
    make("two", live=False)
    with pytest.raises(UsageError, match="several dead labs left their RAM: one, two"):
        find()


def test_a_broken_manifest_is_skipped_if_another_lab_is_there(
    make: Callable[..., FakeLab],
) -> None:
    broken, good = make("broken"), make("good")
    broken.path.write_text("{")
    found = find()
    assert found.path == str(good.path)
    assert found.notes[0].startswith(f"skipped {broken.path}")
    good.path.unlink()
    with pytest.raises(FormatError, match="is not JSON") as caught:
        find()
    assert "'python3 run stop' clears a broken lab away" in caught.value.hint


def test_advice_about_a_broken_manifest_elsewhere_names_no_launcher(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"schema": 1}'):
        path = tmp_path / "run.json"
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(FormatError) as caught:
            find(str(path))
        assert caught.value.hint == "take another copy, or have it written anew"


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("/nonexistent", "there is no such file or folder"),
        ("{tmp}", "the folder holds no run.json; give a capture, a run.json, the folder of a lab"),
        ("/etc/passwd", "is not a run.json"),
    ],
)
def test_from_something_else(
    make: Callable[..., FakeLab], tmp_path: Path, argument: str, why: str
) -> None:
    with pytest.raises(TargetError) as caught:
        find(argument.format(tmp=tmp_path))
    assert why in str(caught.value)
    assert caught.value.hint


def test_an_unknown_lab_names_the_known_ones(make: Callable[..., FakeLab]) -> None:
    make("one")
    with pytest.raises(TargetError) as caught:
        find(lab="two")
    assert str(caught.value) == "no lab 'two'; this user's labs: one"
    with pytest.raises(TargetError, match="cannot name a lab"):
        find(lab="../one")


def test_somebody_elses_manifest_is_not_trusted(make: Callable[..., FakeLab]) -> None:
    fake = make("lab")
    fake.path.chmod(0o666)
    with pytest.raises(TargetError, match="others may write to it, so it is not trusted"):
        find(lab="lab")


BROKEN = [
    ('{"schema": 3}', "has manifest schema 3, this ntbdbg reads 1 and 2"),
    ("[]", "is not a JSON object"),
    ('{"schema": 1}', "lab is missing"),
    ('{"schema": 1, "lab": 5}', "lab should be of type str, it is 5"),
    ("[" * 100000, "is not JSON"),
    ("\xff", "is not JSON"),
]


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_a_broken_manifest_says_what_is_wrong(
    make: Callable[..., FakeLab], text: str, why: str
) -> None:
    fake = make("lab")
    fake.path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NtbdbgError) as caught:
        find(lab="lab")
    assert why in str(caught.value)
    assert caught.value.hint


def bare(name: str = "qemu1", size: int = MIB) -> Path:
    path = Path(where.BARE_FOLDER) / name
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_bare_ram_files_are_guests(make: Callable[..., FakeLab]) -> None:
    path = bare()
    path.write_bytes(b"x" * MIB)
    with api.open() as lab:
        assert lab.names == ("qemu1",)
        assert lab["qemu1"].read(0, 2) == b"xx"
        assert lab.notes == [
            f"{path}: no run.json knows it; taken for 1 MiB of RAM of a q35 machine "
            "(--machine pc or --segments say otherwise); nothing in it tells that it begins at "
            "guest-physical address 0: where a further NUMA node's RAM lies, only --segments can "
            "say"
        ]
        with pytest.raises(TargetError) as caught:
            lab.guest("qemu2")
        assert str(caught.value).startswith(
            f"no guest 'qemu2': no lab runs and there is no RAM file {where.BARE_FOLDER}/qemu2; "
            "start one"
        )
        with pytest.raises(TargetError, match="no lab runs, RAM files there are for qemu1"):
            lab.guest("vm7")


def test_a_guest_that_a_dump_is_not_of(tmp_path: Path) -> None:
    path = tmp_path / "old.ram"
    path.write_bytes(bytes(MIB))
    with api.open(str(path)) as lab, pytest.raises(TargetError) as caught:
        lab.guest("qemu1")
    assert str(caught.value) == f"no guest 'qemu1': {path} is of one guest; it is called old"


@pytest.mark.parametrize(("machine", "address"), [("q35", 0x80000000), ("pc", 0xC0000000)])
def test_the_machine_decides_where_the_hole_is(
    make: Callable[..., FakeLab], machine: str, address: int
) -> None:
    path = bare(size=4 << 30)
    with path.open("r+b") as file:
        file.seek(address)
        file.write(b"high")
    with api.open(machine=machine) as lab:
        guest = lab.guest(str(path))
        assert guest.read(1 << 32, 4) == b"high"
        with pytest.raises(NtbdbgError, match="PCI hole"):
            guest.read(address, 1)


@pytest.mark.parametrize("size", [0, 1, 4095, 5000])
def test_a_file_that_cannot_be_ram(make: Callable[..., FakeLab], size: int) -> None:
    path = bare(size=size)
    with api.open() as lab, pytest.raises(FormatError) as caught:
        lab.guest(str(path))
    assert str(caught.value) == (
        f"{path}: is no RAM file: RAM comes in whole pages of 4 KiB, this is {size} bytes; to read "
        "it all the same, say where it lies: --segments "
        "GPA:SIZE:OFFSET[,GPA:SIZE:OFFSET…], e.g. 0:2G:0,4G:1G:2G"
    )
    if size:
        with api.open(segments=f"0x10:{size}:0") as lab:
            assert lab.guest(str(path)).read(0x10, size) == bytes(size)


def test_the_map_of_a_recorded_guest_is_not_overridden(make: Callable[..., FakeLab]) -> None:
    fake = make("lab")
    with api.open(machine="pc") as lab:
        with pytest.raises(UsageError, match="--machine and --segments describe bare RAM files"):
            lab.guest("qemu1")
        assert lab.guest(os.fspath(fake.ram_path("qemu1"))).record is None


def test_the_vga_hole_is_cut_out_of_any_manifest(make: Callable[..., FakeLab]) -> None:
    make("lab", vga=False)
    with api.open() as lab, pytest.raises(NtbdbgError, match="VGA hole"):
        lab["qemu1"].read(0xA0000, 1)


def test_a_lab_that_was_not_told_how_does_not_open_captures(
    lab: FakeLab, ntbdbg: Run, tmp_path: Path
) -> None:
    path = tmp_path / "x.cap"
    taken = ntbdbg("--lab", "default", "capture", "--no-freeze", path, env=lab.environ)
    assert taken.returncode == 0
    with pytest.raises(TargetError, match=r"x\.cap.*: captures are not opened here"):
        find(str(path))
    with api.open(path) as opened:
        assert opened.names == ("qemu1", "qemu2")
