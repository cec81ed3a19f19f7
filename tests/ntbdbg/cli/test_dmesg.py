# SPDX-License-Identifier: MIT
"""ntbdbg dmesg."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelog import FakeLog
from tests.support.linuxlab import LinuxLab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinuxLab]:
    with LinuxLab(tmp_path / "run", furnish=write_log) as made:
        made.monkeypatch(monkeypatch)
        yield made


LOGS: dict[str, FakeLog] = {}


def write_log(name: str, guest: FakeGuest) -> None:
    LOGS[name] = log = FakeLog(guest)
    log.add(f"Linux version {guest.release} on {name}", level=5)
    log.add("two\tlines\nof \x1b[31mone record", at=12.3456789, level=4, facility=3, caller=7)
    log.add("it broke", at=70000.5, level=3)


def test_text_is_that_of_dmesg(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("dmesg", "qemu1")
    assert done.stdout == (
        "[    0.000000] Linux version 6.1.0-56-amd64 on qemu1\n"
        "[   12.345678] two\tlines\n"
        "[   12.345678] of \\x1b[31mone record\n"
        "[70000.500000] it broke\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_facility_level_and_caller(lab: LinuxLab, ntbdbg: Run) -> None:
    assert ntbdbg("dmesg", "qemu1", "-x").stdout.splitlines()[1:] == [
        "daemon:warn  : [   12.345678] [    T7] two\tlines",
        "daemon:warn  : [   12.345678] [    T7] of \\x1b[31mone record",
        "kern  :err   : [70000.500000] [    T1] it broke",
    ]


@pytest.mark.parametrize(
    ("level", "shown"), [("err", 1), ("warn+", 2), ("err,notice", 2), ("debug", 0)]
)
def test_levels(lab: LinuxLab, ntbdbg: Run, level: str, shown: int) -> None:
    lines = ntbdbg("dmesg", "qemu2", "--level", level, "--json").stdout.splitlines()
    assert len(lines) == shown


def test_nothing_of_a_level_is_told(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("dmesg", "qemu2", "--level", "emerg,debug")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        "note: qemu2: none of its [0-9]+ records has level emerg, debug\n", done.stderr
    )


def test_a_log_without_one_record_is_a_fault(ntbdbg: Run, tmp_path: Path) -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    path = tmp_path / "empty"
    guest.save(path)
    done = ntbdbg("dmesg", path)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"{guest.symbols['prb']:#x} leads to a log without one record" in done.stderr
    log.add("Linux version")
    log.ring["desc_ring.descs"] = 0xFFFF_C900_0000_0000
    guest.save(path)
    done = ntbdbg("dmesg", path, "--json")
    assert (done.returncode, done.stdout) == (4, "")
    assert "is not mapped" in done.stderr


def test_an_unknown_level(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("dmesg", "qemu2", "-l", "error")
    assert done.returncode == 2
    assert "no level 'error'" in done.stderr


def test_json(lab: LinuxLab, ntbdbg: Run) -> None:
    second = json.loads(ntbdbg("dmesg", "qemu1", "--json").stdout.splitlines()[1])
    assert second == {
        "kind": "dmesg",
        "schema": 1,
        "seq": 1,
        "time_ns": 12345678900,
        "level": "warn",
        "facility": 3,
        "text": "two\tlines\nof \x1b[31mone record",
        "caller": "T7",
        "subsystem": "",
        "device": "",
        "is_complete": True,
    }


def test_colours_are_by_level(lab: LinuxLab, ntbdbg: Run) -> None:
    shown = ntbdbg("dmesg", "qemu1", "--color", "always").stdout
    assert "\x1b[31mit broke\x1b[0m\n" in shown
    assert "\\x1b[31mone record" in shown


def test_damage_is_told(lab: LinuxLab, ntbdbg: Run) -> None:
    LOGS["qemu1"].desc(1)["text_blk_lpos.next"] = 1
    lab.linux["qemu1"].save(lab.ram_path("qemu1"))
    done = ntbdbg("dmesg", "qemu1")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "note: 1 records make no sense and are left out\n"
    assert done.returncode == 0


def test_a_guest_without_linux(lab: LinuxLab, ntbdbg: Run) -> None:
    lab.ram_path("qemu2").write_bytes(bytes(16 << 20))
    done = ntbdbg("dmesg", "qemu2")
    assert done.returncode == 5
    assert "no Linux kernel" in done.stderr


def test_follow_shows_what_comes_and_survives_a_reboot(lab: LinuxLab) -> None:
    guest, log = lab.linux["qemu1"], LOGS["qemu1"]
    argv = [sys.executable, "-m", "ntbdbg", "dmesg", "qemu1", "-f"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        for _ in range(4):
            run.stdout.readline()
        log.add("something new", at=80000)
        guest.save(lab.ram_path("qemu1"))
        assert run.stdout.readline() == "[80000.000000] something new\n"
        write_log("qemu1", again := FakeGuest(kaslr=0x200_0000))
        again.save(lab.ram_path("qemu1"))
        shown = [run.stdout.readline() for _ in range(4)]
        run.send_signal(signal.SIGINT)
        assert run.stdout.read() == ""
        words = run.stderr.read()
    assert run.returncode == 0
    assert shown[0] == "[    0.000000] Linux version 6.1.0-56-amd64 on qemu1\n"
    assert words == "note: the guest has booted anew\n"


def test_following_a_guest_that_is_dead_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ntbdbg: Run
) -> None:
    with LinuxLab(tmp_path / "run", furnish=write_log, live=False) as made:
        made.monkeypatch(monkeypatch)
        done = ntbdbg("dmesg", "qemu1", "-f")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert "note: qemu1 does not run, so nothing will be added" in done.stderr


def test_a_frozen_guest_cannot_be_followed(lab: LinuxLab, ntbdbg: Run) -> None:
    assert ntbdbg("dmesg", "qemu1", "-f", "--freeze").returncode == 2
