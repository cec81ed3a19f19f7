# SPDX-License-Identifier: MIT
"""Ending guests: who feels the power button is waited for, nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.deadline import Deadline
from run.lab import leftovers
from run.vm.plan import LabPaths

PATHS = LabPaths(folder=Path("/nowhere"), uid=0)


class Guests:
    """Guests that end at a moment after they were asked to, on a clock of their own.

    :ivar asked: (when, guest) of each `quit`
    """

    def __init__(self, patience: dict[str, float | None], ends: dict[str, float]) -> None:
        self.now = 0.0
        self.asked: list[tuple[float, str]] = []
        self._patience, self._ends = patience, ends

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def press(self, _: LabPaths, name: str, monitor: Path) -> float | None:
        assert monitor == PATHS.qmp_launcher(name)
        return self._patience[name]

    def ask(self, monitor: Path, name: str, command: str) -> None:
        assert (monitor, command) == (PATHS.qmp_launcher(name), "quit")
        self.asked.append((self.now, name))
        self._ends[name] = self.now

    def process(self, name: str) -> Process:
        return Process(self, name)

    def is_alive(self, name: str) -> bool:
        return self.now < self._ends[name]


class Process:
    def __init__(self, guests: Guests, name: str) -> None:
        self._guests, self._name = guests, name

    def is_alive(self) -> bool:
        return self._guests.is_alive(self._name)


def end(monkeypatch: pytest.MonkeyPatch, guests: Guests, *names: str) -> None:
    def deadline(seconds: float) -> Deadline:
        return Deadline(seconds, clock=lambda: guests.now, sleep=guests.sleep)

    monkeypatch.setattr(leftovers, "Deadline", deadline)
    monkeypatch.setattr(leftovers, "_press_power_button", guests.press)
    monkeypatch.setattr(leftovers, "_ask", guests.ask)
    found = {name: [guests.process(name)] for name in names}
    leftovers._end_softly(PATHS, found, lambda: False)  # type: ignore[arg-type]


def test_paused_guests_quit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    guests = Guests({"qemu1": 0.0, "qemu2": 0.0}, {"qemu1": 1e9, "qemu2": 1e9})
    end(monkeypatch, guests, "qemu1", "qemu2")
    assert guests.asked == [(0.0, "qemu1"), (0.0, "qemu2")]
    assert guests.now == 0.0


def test_one_that_is_paused_is_not_waited_for_beside_one_that_powers_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guests = Guests({"qemu1": 0.0, "qemu2": leftovers.POWERDOWN}, {"qemu1": 1e9, "qemu2": 1.0})
    end(monkeypatch, guests, "qemu1", "qemu2")
    assert guests.asked == [(0.0, "qemu1")]
    assert guests.now == pytest.approx(1.0, abs=0.1)


def test_one_that_ignores_its_button_is_asked_to_quit(monkeypatch: pytest.MonkeyPatch) -> None:
    guests = Guests({"qemu1": leftovers.POWERDOWN, "qemu2": None}, {"qemu1": 1e9, "qemu2": 1e9})
    end(monkeypatch, guests, "qemu1", "qemu2")
    assert [name for _, name in guests.asked] == ["qemu1"]
    assert guests.asked[0][0] == pytest.approx(leftovers.POWERDOWN, abs=0.1)
