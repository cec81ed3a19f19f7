# SPDX-License-Identifier: MIT
"""One budget a command: all guests and walks draw from it, and the user hears when it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntbdbg.budget import Budget
from ntbdbg.cli.context import AppContext
from ntbdbg.cli.main import main
from ntbdbg.kernel.tasks.tasks import STEPS_OF_A_TASK
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.linuxlab import LinuxLab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinuxLab]:
    with LinuxLab(tmp_path / "run", furnish=crowded) as made:
        made.monkeypatch(monkeypatch)
        yield made


def crowded(name: str, guest: FakeGuest) -> None:
    tasks = furnish(name, guest).tasks
    for pid in range(1000, 1100):
        tasks.add(pid, "x")


def test_both_guests_draw_from_one(lab: LinuxLab) -> None:
    app = AppContext()
    first, second = (app.guest(name).kernel.budget for name in ("qemu1", "qemu2"))
    assert first is second is app.budget()
    app.close()


def test_a_session_has_one_for_each_walk(lab: LinuxLab) -> None:
    app = AppContext()
    app.is_session = True
    kernel = app.guest("qemu1").kernel
    assert kernel.budget is not kernel.budget
    app.close()


class Small(Budget):
    """As it is, however much RAM there is."""

    def widen(self, ram: int) -> None:
        return


def test_what_it_lacked_is_told_once(
    lab: LinuxLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ntbdbg.budget.Budget", lambda: Small(steps=50 * STEPS_OF_A_TASK))
    assert main(["ps", "qemu1"]) == 0
    out, err = capsys.readouterr()
    assert 10 <= sum(line.rstrip().endswith(" x") for line in out.splitlines()) < 100
    assert err.count("looks at its memory, more than a sound guest needs") == 1
    assert main(["ps", "qemu1", "--json"]) == 0
    assert "looks at its memory" in json.loads(capsys.readouterr().out)["partial"]
