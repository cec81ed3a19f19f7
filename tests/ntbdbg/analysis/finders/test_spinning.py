# SPDX-License-Identifier: MIT
"""Processors that spin with interrupts off: watched where the guest runs, else told by clocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.analysis import examine
from ntbdbg.analysis.evidence import Evidence, Scene
from ntbdbg.analysis.finders.spinning import spinning
from ntbdbg.analysis.interruptsoff import WATCHED
from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.lab.hosttime import HostTime
from ntbdbg.lab.lab import Lab
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import CLOCKS, REAL_SEC, UPTIME_NS, fill_clocks
from tests.support.linuxlab import LinuxLab

TICKS = """
struct hrtimer { u64 node[4]; ktime_t _softexpires; };
struct tick_sched { struct hrtimer sched_timer; unsigned int nohz_mode; };
"""
NS = 1_000_000_000


def furnish(name: str, guest: FakeGuest) -> None:
    """Every CPU is due for its next tick in a millisecond; nothing panicked."""
    guest.types.declare(CLOCKS + TICKS)
    fill_clocks(guest.variable("tk_core", "struct fake_tk_core").sub("timekeeper"))
    guest.number("panic_cpu", (1 << 32) - 1, "int")
    guest.percpu("tick_cpu_sched", "struct tick_sched")
    for cpu in range(guest.cpus):
        ticks(guest, cpu)["sched_timer._softexpires"] = UPTIME_NS + NS // 1000
    guest.function("my_spin", 64)


def ticks(guest: FakeGuest, cpu: int):
    place = guest.percpu_areas[cpu] + guest.symbols["tick_cpu_sched"]
    return guest.at(place, "struct tick_sched")


class Spinning:
    """A lab whose qemu1 has one processor in the monitor's text, at `my_spin`, interrupts off.

    :ivar before_sleep: called before each sleep, with the time that has passed
    """

    def __init__(self, lab: LinuxLab) -> None:
        self.lab = lab
        self.now = 0.0
        self.wall = float(REAL_SEC)
        self.before_sleep: Callable[[float], None] = lambda now: None
        self.registers(RFL="00000046", HLT="0", RIP=f"{self.guest.symbols['my_spin'] + 4:016x}")

    @property
    def guest(self) -> FakeGuest:
        return self.lab.linux["qemu1"]

    def registers(self, **values: str) -> None:
        monitor = self.lab.qmp["qemu1"]
        for name, value in values.items():
            monitor.registers = re.sub(
                rf"\b{name} ?=[0-9a-f]+", f"{name}={value}", monitor.registers
            )

    def due(self, at: int) -> None:
        """Have CPU 0 be due for its tick then."""
        place = self.guest.percpu_areas[0] + self.guest.symbols["tick_cpu_sched"] + 32
        self.lab.poke("qemu1", self.guest.physical(place), at.to_bytes(8, "little"))

    def clock(self, name: str, later: int) -> None:
        """Set the time of day in a guest to `later` seconds after `REAL_SEC`."""
        guest = self.lab.linux[name]
        place = guest.physical(guest.symbols["tk_core"] + 8)
        keeper = guest.types["struct timekeeper"]
        offset = keeper.find("xtime_sec")[0]
        self.lab.poke(name, place + offset, (REAL_SEC + later).to_bytes(8, "little"))

    def told(self, state: str = "running") -> list[Verdict]:
        with Lab.open(self.lab.folder) as opened:
            seen = Evidence("qemu1", state, lambda: opened.guest("qemu1"))
            return list(spinning(Scene(opened, (seen,), time=self._time())))

    def _time(self) -> HostTime:
        def sleep(seconds: float) -> None:
            self.before_sleep(self.now)
            self.now += seconds

        return HostTime(lambda: self.wall, lambda: self.now, sleep)


@pytest.fixture
def spin(tmp_path: Path) -> Iterator[Spinning]:
    with LinuxLab(tmp_path / "run", furnish=furnish) as lab:
        yield Spinning(lab)


def test_its_tick_is_late_by_the_guest_s_own_clock(spin: Spinning) -> None:
    spin.due(UPTIME_NS - 12_300_000_000)
    (found,) = spin.told()
    assert (found.severity, found.who, found.place) == (Severity.HUNG, "qemu1", "my_spin")
    assert found.text == (
        "CPU 0 in my_spin with interrupts off, its clock has stood still for 12.3 s"
    )
    assert spin.now >= WATCHED


def test_nobody_moves_its_clock_on_but_the_host_and_its_peer_have_theirs(spin: Spinning) -> None:
    spin.wall += 20.4
    spin.clock("qemu2", 19)
    (found,) = spin.told()
    assert found.text.endswith(
        "stood still for about 20 s by the host's clock, 19 s by qemu2's clock"
    )


def test_a_guest_whose_clock_was_never_right_is_watched_alone(spin: Spinning) -> None:
    spin.wall += 3600
    (found,) = spin.told()
    assert found.text.endswith("its clock stood still for the 1.0 s that it was watched")


def test_a_processor_without_ticks_is_told_as_what_was_seen(spin: Spinning) -> None:
    spin.due(UPTIME_NS + 10**6 * NS)
    (found,) = spin.told()
    assert found.text == "CPU 0 in my_spin with interrupts off, whenever it was looked at for 1.0 s"


def test_a_moment_with_interrupts_off_is_nothing(spin: Spinning) -> None:
    spin.wall += 20
    spin.clock("qemu2", 20)
    spin.before_sleep = lambda now: spin.registers(RFL="00000246")
    assert spin.told() == []
    assert spin.now < WATCHED


def test_one_that_takes_its_ticks_in_between_is_none(spin: Spinning) -> None:
    spin.before_sleep = lambda now: spin.due(UPTIME_NS + int(now * NS) + 1)
    assert spin.told() == []


@pytest.mark.parametrize(
    "registers", [{"HLT": "1"}, {"RFL": "00000246"}, {"CS": "0033"}], ids=["halted", "on", "user"]
)
def test_others_are_not_watched_at_all(spin: Spinning, registers: dict[str, str]) -> None:
    spin.due(UPTIME_NS - 12_300_000_000)
    spin.registers(**registers)
    assert spin.told() == []
    assert spin.now == 0


def test_a_guest_that_panicked_is_told_as_that(spin: Spinning) -> None:
    guest = spin.guest
    spin.lab.poke("qemu1", guest.physical(guest.symbols["panic_cpu"]), bytes(4))
    spin.due(UPTIME_NS - 12_300_000_000)
    assert spin.told() == []


def test_a_guest_that_was_paused_is_judged_by_its_own_clock_alone(spin: Spinning) -> None:
    spin.wall += 600
    spin.clock("qemu2", 600)
    assert spin.told("paused") == []
    spin.due(UPTIME_NS - 2 * NS)
    (found,) = spin.told("paused")
    assert found.text.endswith("stood still for 2.0 s")
    assert spin.now == 0


def test_a_frozen_lab_is_looked_at_once(spin: Spinning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ntbdbg.lab.freeze.time.time", lambda: REAL_SEC + 30.0)
    spin.clock("qemu2", 31)
    with Lab.open(spin.lab.folder) as opened, opened.frozen():
        told = examine.examine(opened)
    assert told.verdicts[0].text.endswith(
        "still for about 30 s by the host's clock, 31 s by qemu2's clock"
    )
    assert told.guests[0].condition.value == "hung"
    spin.clock("qemu2", 0)
    with Lab.open(spin.lab.folder) as opened, opened.frozen():
        told = examine.examine(opened)
    assert told.guests[0].condition.value == "running"
