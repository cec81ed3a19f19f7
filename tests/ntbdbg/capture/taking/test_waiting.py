# SPDX-License-Identifier: MIT
"""Captures that wait for their moment: a panic, a death, the next turn of a ring."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ntbdbg
from ntbdbg.capture.taking import panic, schedule
from ntbdbg.capture.taking.panic import PanicWait
from ntbdbg.capture.taking.schedule import Due, Ring, Schedule
from ntbdbg.cli.main import main
from ntbdbg.errors import TargetError
from tests.support.fakelab import GONE, FakeLab


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.at: dict[float, object] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Signs:
    """Stands for a PanicWait: a sign from a moment on."""

    def __init__(self, clock: Clock, at: float, text: str = "qemu2 panicked") -> None:
        self.clock, self.at, self.text = clock, at, text

    def sign(self) -> str | None:
        return self.text if self.clock() >= self.at else None

    def close(self) -> None:
        pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waiting(lab: FakeLab) -> Iterator[PanicWait]:
    wait = PanicWait(ntbdbg.open)
    yield wait
    wait.close()


def test_what_the_launcher_wrote_is_a_sign(lab: FakeLab, waiting: PanicWait) -> None:
    assert waiting.sign() is None
    lab.edit("qemu2", panicked=time.time())
    assert waiting.sign() == "qemu2 panicked"
    assert [server.log for server in lab.qmp.values()] == [[], []]


def test_a_qemu_that_ends_is_a_sign(lab: FakeLab, waiting: PanicWait) -> None:
    lab.edit("qemu1", process=GONE)
    assert waiting.sign() == "QEMU of qemu1 ended"


def test_a_guest_that_was_dead_before_is_none(lab: FakeLab) -> None:
    lab.edit("qemu1", process=GONE)
    wait = PanicWait(ntbdbg.open)
    assert wait.sign() is None
    wait.close()


def test_a_lab_that_is_stopped_ends_the_wait(lab: FakeLab, waiting: PanicWait) -> None:
    for name in ("qemu1", "qemu2"):
        lab.ram_path(name).unlink()
        lab.edit(name, process=GONE)
    with pytest.raises(TargetError, match="the lab was stopped before a guest panicked"):
        waiting.sign()


def test_a_lab_whose_record_is_gone_was_stopped(lab: FakeLab, waiting: PanicWait) -> None:
    lab.path.unlink()
    with pytest.raises(TargetError, match="the lab was stopped"):
        waiting.sign()


def test_where_nothing_would_tell_there_is_no_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ntbdbg.lab import where

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(where, "BARE_FOLDER", str(tmp_path))
    (tmp_path / "qemu1").write_bytes(bytes(1 << 20))
    with pytest.raises(TargetError, match="nothing would tell of a panic"):
        PanicWait(ntbdbg.open)


def test_every_so_often(clock: Clock) -> None:
    made = Schedule(every=60, count=3, clock=clock, sleep=clock.sleep)
    times = [(clock.now, due.reason) for due in made]
    assert [round(at - 1000) for at, _ in times] == [0, 60, 120]
    assert {reason for _, reason in times} == {"every 60 s"}
    assert not made.missed


def test_a_panic_ends_a_ring_with_one_more(clock: Clock) -> None:
    signs = Signs(clock, 1090.0)
    made = Schedule(every=60, panic=signs, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]
    assert [due.reason for due in made] == ["every 60 s", "every 60 s", "qemu2 panicked"]
    assert not made.missed
    assert clock.now >= 1090 + schedule.SETTLE


def test_a_panic_that_does_not_come(clock: Clock) -> None:
    signs = Signs(clock, 1e9)
    made = Schedule(panic=signs, timeout=30, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]
    assert list(made) == []
    assert made.missed
    assert 1030 <= clock.now < 1031


def test_a_ring_keeps_the_last_ones(
    lab: FakeLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "ring"
    folder.mkdir()
    (folder / "x-0007.cap").mkdir()
    (folder / "x-0007.cap" / "precious").touch()
    monkeypatch.setattr(schedule.Schedule, "__iter__", lambda self: iter([Due("a test")] * 4))
    words = ["capture", str(folder / "x.cap"), "--every", "1", "--keep", "2"]
    assert main(words) == 0
    assert sorted(os.listdir(folder)) == ["x-0007.cap", "x-0010.cap", "x-0011.cap"]
    assert (folder / "x-0007.cap" / "precious").exists(), "no capture, so it is not ours to remove"
    assert main(words) == 0
    assert sorted(os.listdir(folder)) == ["x-0007.cap", "x-0014.cap", "x-0015.cap"]
    reason = json.loads((folder / "x-0015.cap" / "run.json").read_bytes())["capture"]["reason"]
    assert reason == "a test"


def test_ring_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Ring("a.cap", 3).next_path() == "a-0001.cap"
    (tmp_path / "a-0041.cap").touch()
    (tmp_path / "a-x.cap").touch()
    assert Ring("./a.cap", 3).next_path() == "a-0042.cap"


def test_on_panic_by_the_command(
    lab: FakeLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(schedule, "SETTLE", 0.0)
    lab.edit("qemu2", panicked=time.time())
    out = tmp_path / "p.cap"
    assert main(["capture", str(out), "--on-panic"]) == 0
    assert json.loads((out / "run.json").read_bytes())["capture"]["reason"] == "qemu2 panicked"
    capsys.readouterr()
    assert main(["capture", str(out), "--on-panic"]) == 2
    assert "exists already" in capsys.readouterr().err, "told before the wait"


def test_a_timeout_without_the_panic_is_1(
    lab: FakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panic, "INTERVAL", 0.01)
    assert main(["capture", str(tmp_path / "p.cap"), "--on-panic", "--timeout", "0.01"]) == 1
    assert not (tmp_path / "p.cap").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--keep", "3"], "--keep and --count are about --every"),
        (["--count", "3"], "--keep and --count are about --every"),
        (["--timeout", "3"], "--timeout without waiting"),
        (["--every", "0"], "0.0 is not in the range"),
    ],
)
def test_usage(
    lab: FakeLab, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    assert main(["capture", str(tmp_path / "p.cap"), *words]) == 2
    assert why in capsys.readouterr().err
