# SPDX-License-Identifier: MIT
"""A guest's log on the host's axis: by ticks, by a standstill, across pauses, with its error."""

from __future__ import annotations

import pytest

from ntbdbg.analysis.correlate import Correlation, Host, correlate, pauses_of
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.ntb.kinds import Kind
from ntbdbg.ntb.recorder import Event
from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakelinux import CLOCKS, UPTIME_NS, fill_clocks

MS = 1_000_000
S = 1000 * MS
AHEAD = 70 * MS
"""The log's clock began so much earlier than CLOCK_MONOTONIC."""

OFFSET = 500 * S
"""Host's clock minus the guest's CLOCK_MONOTONIC, in truth."""

STRUCTS = """
struct hrtimer { u64 node[4]; ktime_t _softexpires; };
struct tick_sched { struct hrtimer sched_timer; unsigned int nohz_mode; };
struct sched_clock_data { u64 tick_raw, tick_gtod, clock; };
"""


class Guest:
    """A guest whose clocks a test moves."""

    def __init__(self) -> None:
        self.fake = FakeGuest()
        self.fake.types.declare(CLOCKS + STRUCTS)
        core = self.fake.variable("tk_core", "struct fake_tk_core")
        self.keeper = core.sub("timekeeper")
        fill_clocks(self.keeper)
        self.fake.percpu("tick_cpu_sched", "struct tick_sched")
        self.fake.percpu("sched_clock_data", "struct sched_clock_data")
        for cpu in range(self.fake.cpus):
            both = self._of_cpu("sched_clock_data", "sched_clock_data", cpu)
            both.set(tick_gtod=5 * S, clock=5 * S + AHEAD + cpu * MS)
            tick = self._of_cpu("tick_cpu_sched", "tick_sched", cpu)
            tick["sched_timer._softexpires"] = UPTIME_NS + 4 * MS
        self.kernel = Kernel.open(self.fake.memory, cache=False)

    def _of_cpu(self, name: str, kind: str, cpu: int) -> FakeStruct:
        place = self.fake.percpu_areas[cpu] + self.fake.symbols[name]
        return self.fake.at(place, f"struct {kind}")

    def tick(self, now: int) -> None:
        """The guest's timekeeper goes on to `now`."""
        self.keeper["tkr_mono.base"] = now // S * S
        self.keeper["tkr_mono.xtime_nsec"] = now % S << 8
        self.keeper["ktime_sec"] = now // S


@pytest.fixture
def guest() -> Guest:
    return Guest()


class Clock:
    """A host whose time goes on by looking and sleeping; `ticks` are the guest's."""

    def __init__(self, guest: Guest, *ticks: int) -> None:
        self.now = UPTIME_NS + OFFSET + MS
        self.guest, self.ticks = guest, list(ticks)

    def monotonic_ns(self) -> int:
        self.now += MS // 10
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * S)
        while self.ticks and self.ticks[0] + OFFSET <= self.now:
            self.guest.tick(self.ticks.pop(0))

    @property
    def host(self) -> Host:
        return Host(self.monotonic_ns, self.sleep)


def run(partition: int, ns: int, num: int) -> Event:
    return Event(partition, 0, 0, ns, ns, 1, Kind.RUN, None, num, 1 - num, 0)


def right(found: Correlation) -> bool:
    """Whether the truth is within what is claimed."""
    assert found.error_ns is not None
    return abs(found.offset_ns - (OFFSET - AHEAD)) <= found.error_ns


def test_by_the_ticks_of_a_guest_that_runs(guest: Guest) -> None:
    clock = Clock(guest, *(UPTIME_NS + 4 * MS * n for n in range(1, 20)))
    found = correlate(guest.kernel, [], 0, runs=True, host=clock.host)
    assert right(found)
    assert found.error_ns is not None
    assert found.error_ns <= 4 * MS
    assert found.host_ns(AHEAD) == pytest.approx(OFFSET, abs=found.error_ns)


def test_an_idle_guest_is_bounded_by_the_tick_to_come(guest: Guest) -> None:
    found = correlate(guest.kernel, [], 0, runs=True, host=Clock(guest).host)
    assert right(found)


def test_right_after_a_freeze(guest: Guest) -> None:
    stopped = UPTIME_NS + OFFSET + 3 * MS
    events = [run(1, stopped + S, 0), run(0, stopped, 0)]
    found = correlate(guest.kernel, events, 0, runs=False)
    assert right(found)
    assert found.error_ns is not None
    assert found.error_ns <= 3 * MS


def test_a_guest_without_the_clocks_of_its_log_is_a_guess() -> None:
    bare = FakeGuest()
    bare.types.declare(CLOCKS)
    fill_clocks(bare.variable("tk_core", "struct fake_tk_core").sub("timekeeper"))
    kernel = Kernel.open(bare.memory, cache=False)
    found = correlate(kernel, [run(0, UPTIME_NS + OFFSET, 0)], 0, runs=False)
    assert found.error_ns is None
    assert found.offset_ns == OFFSET


def test_standstills_are_no_time_of_the_guest() -> None:
    events = [run(0, 100 * S, 0), run(1, 120 * S, 0), run(0, 130 * S, 1), run(0, 200 * S, 0)]
    assert pauses_of(events, 0) == ([(100 * S, 130 * S)], 200 * S)
    found = Correlation(80 * S, 0, ((100 * S, 130 * S),))
    assert found.host_ns(50 * S) == 130 * S
    assert found.host_ns(60 * S) == 140 * S
    assert found.host_ns(49 * S) == 99 * S  # before it stood still
