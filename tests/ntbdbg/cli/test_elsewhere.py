# SPDX-License-Identifier: MIT
"""Commands on RAM that is not all of it, and on what may be ROM."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.fakeresources import FakeResources

MIB = 1 << 20
WORDS = "its kernel uses RAM that is not here: 256 MiB from 0x100000000 (of another NUMA node"


@pytest.fixture(scope="module")
def guest() -> FakeGuest:
    """16 MiB, and 256 MiB more that are in no file."""
    made = FakeGuest()
    furnish("qemu1", made)
    resources = FakeResources(made)
    resources.add(MIB, 16 * MIB, "System RAM")
    resources.add(4 << 30, (4 << 30) + 256 * MIB, "System RAM")
    return made


@pytest.fixture
def ram(guest: FakeGuest, tmp_path: Path) -> Path:
    path = tmp_path / "bare.ram"
    guest.save(path)
    return path


@pytest.mark.parametrize("command", ["map", "info", "ps"])
def test_what_shows_a_guest_tells(ram: Path, ntbdbg: Run, command: str) -> None:
    done = ntbdbg(command, ram)
    assert done.returncode == 0, done.stderr
    assert f"note: {ram}: {WORDS}" in done.stderr
    found = json.loads(ntbdbg(command, ram, "--json").stdout)
    assert [note for note in found["notes"] if note.startswith(f"{ram}: {WORDS}")]


def test_an_export_tells(ram: Path, ntbdbg: Run, tmp_path: Path) -> None:
    done = ntbdbg("export", ram, "--format", "elf", "-o", tmp_path / "out.core", "--json")
    assert done.returncode == 0, done.stderr
    assert WORDS in done.stderr
    assert WORDS in " ".join(json.loads(done.stdout)["notes"])
    again = ntbdbg("ps", tmp_path / "out.core")
    assert WORDS in again.stderr


def test_captures_and_reports_tell(
    guest: FakeGuest, ntbdbg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shm"
    folder.mkdir()
    guest.save(folder / "qemu1")
    monkeypatch.setattr("ntbdbg.lab.where.BARE_FOLDER", str(folder))
    from ntbdbg.cli.main import main

    assert main(["capture", str(tmp_path / "a.cap")]) == 0
    notes = json.loads((tmp_path / "a.cap" / "run.json").read_text())["capture"]["notes"]
    assert [note for note in notes if WORDS in note]
    page = tmp_path / "page.html"
    done = ntbdbg("--from", tmp_path / "a.cap", "report", "-o", page)
    assert done.returncode == 0, done.stderr
    assert WORDS in page.read_text()


# -- the end of the first MiB ----------------------------------------------------------------


def test_zeros_where_firmware_has_its_rom_are_doubted(tmp_path: Path, ntbdbg: Run) -> None:
    path = tmp_path / "uefi.ram"
    path.write_bytes(bytes(4 * MIB))
    doubt = "0xc0000-0xfffff is all zeros in the file: unknown: ROM of a UEFI guest?"
    assert doubt in ntbdbg("dump", path, "0xffff0", "16").stderr
    assert doubt not in ntbdbg("dump", path, "0x100000", "16").stderr
    areas = json.loads(ntbdbg("map", path, "--json").stdout)["areas"]
    assert [(area["start"], area["kind"]) for area in areas] == [
        (0, "RAM"),
        (0xA0000, "VGA hole"),
        (0xC0000, "unknown: ROM of a UEFI guest?"),
        (0x100000, "RAM"),
    ]
    assert "unknown: ROM of a UEFI guest?" in ntbdbg("map", path).stdout
    taken = ["--segments", "0:4M:0"]
    assert doubt not in ntbdbg("dump", path, "0xffff0", "16", *taken).stderr
    assert "unknown" not in ntbdbg("map", path, *taken).stdout


def test_the_shadow_that_seabios_leaves_is_ram(tmp_path: Path, ntbdbg: Run) -> None:
    path = tmp_path / "seabios.ram"
    data = bytearray(4 * MIB)
    data[:1024] = struct.pack("<256I", *[0xF000FF53] * 256)
    data[0xFFFF0:0xFFFF5] = b"\xea\x5b\xe0\x00\xf0"
    path.write_bytes(data)
    assert "unknown" not in ntbdbg("map", path).stdout
    assert "unknown" not in ntbdbg("dump", path, "0xffff0", "16").stderr
