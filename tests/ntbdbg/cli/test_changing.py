# SPDX-License-Identifier: MIT
"""What commands say when they wait, or change a lab that nobody named."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ntbdbg.cli.main import main
from tests.support.fakelab import FakeLab


def test_a_capture_on_panic_says_that_it_waits_and_who_panicked(
    lab: FakeLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("ntbdbg.capture.taking.schedule.SETTLE", 0)
    lab.edit("qemu2", panicked=time.time())
    assert main(["capture", str(tmp_path / "x.cap"), "--on-panic"]) == 0
    assert capsys.readouterr().err.splitlines()[:2] == [
        "note: waiting until one of qemu1, qemu2 panics, or its QEMU ends",
        "note: qemu2 panicked",
    ]


COMMANDS = ("patch qemu1 0 u8:1", "undo", "freeze", "resume")


def test_a_lab_that_nobody_named_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeLab(tmp_path / "run", name="left") as left:
        left.monkeypatch(monkeypatch)
        for command in COMMANDS:
            assert main(command.split()) == 0
            assert capsys.readouterr().err == "note: lab 'left': the only lab that runs, 'left'\n"
        for command in COMMANDS:
            assert main(["--lab", "left", *command.split()]) == 0
            assert capsys.readouterr().err == ""
        assert main(["dump", "qemu1", "0", "1"]) == 0
        assert capsys.readouterr().err == ""


def test_the_default_lab_is_what_no_name_means(
    lab: FakeLab, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        assert main(command.split()) == 0
        assert capsys.readouterr().err == ""
