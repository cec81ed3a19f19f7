# SPDX-License-Identifier: MIT
"""The watcher with a clock that only moves when told to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, TargetError, UsageError
from ntbdbg.inspect.changes import ByteChange, FieldChange, LinkProbe, MemoryProbe
from ntbdbg.inspect.until import Until
from ntbdbg.inspect.watch import MAX_CHANGES, Clock, Ended, Watcher
from ntbdbg.memory import BufferMemory, RamFile, Segment
from ntbdbg.ntb.source import PageFile
from tests.support.fakeswitch import FakeSwitch


class FakeTime:
    """Sleeping moves the clock and lets `script` change the world."""

    def __init__(self, script: Callable[[int], object] = lambda _: None, cost: float = 0) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []
        self._script = script
        self._cost = cost
        self.clock = Clock(self.monotonic, lambda: self.now + 1e9, self.sleep)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds + self._cost
        self._script(len(self.sleeps))


def watch_buffer(script, *, size=64, width=1, **options):
    data = bytearray(size)
    time = FakeTime(lambda step: script(step, data))
    probe = MemoryProbe("qemu1", BufferMemory(data), 0, size, width=width)
    return Watcher([probe], clock=time.clock, **options), time


def test_reports_what_changed_and_when() -> None:
    def script(step, data):
        if step == 3:
            data[5:7] = b"\x01\x02"
            data[9] = 7

    watcher, _ = watch_buffer(script, interval=0.5, timeout=2.0)
    samples = list(watcher)
    assert [s.number for s in samples] == [0, 3]
    assert samples[1].monotonic == 101.5
    assert samples[1].wall == 1e9 + 101.5
    assert samples[1].changes == (
        ByteChange("qemu1", 5, b"\0\0", b"\x01\x02"),
        ByteChange("qemu1", 9, b"\0", b"\x07"),
    )
    assert watcher.ended is Ended.TIMEOUT
    assert watcher.stats.samples == 5
    assert watcher.stats.longest_gap == 0.5
    assert watcher.stats.rate == 2.0


def test_count_ends_it_and_cuts_the_last_sample() -> None:
    def script(step, data):
        data[0] = data[2] = data[4] = step

    watcher, _ = watch_buffer(script, count=4)
    changes = [change for sample in watcher for change in sample.changes]
    assert len(changes) == 4
    assert watcher.ended is Ended.COUNT


def test_omitted_changes_are_counted() -> None:
    def script(step, data):
        data[::2] = bytes([step]) * (len(data) // 2)

    watcher, _ = watch_buffer(script, size=4 * MAX_CHANGES, timeout=0.15)
    sample = list(watcher)[1]
    assert len(sample.changes) == MAX_CHANGES
    assert sample.omitted == MAX_CHANGES


def test_no_sleep_with_interval_zero() -> None:
    time = FakeTime()
    ticks = iter(range(1000))
    clock = time.clock._replace(monotonic=lambda: float(next(ticks)))
    probe = MemoryProbe("qemu1", BufferMemory(bytes(8)), 0, 8)
    watcher = Watcher([probe], interval=0, timeout=30, clock=clock)
    list(watcher)
    assert time.sleeps == []
    assert watcher.stats.samples > 3


def test_late_samples_are_dropped_not_made_up_for() -> None:
    probe = MemoryProbe("qemu1", BufferMemory(bytes(8)), 0, 8)
    time = FakeTime(cost=0.25)
    watcher = Watcher([probe], interval=0.1, timeout=2, clock=time.clock)
    list(watcher)
    assert all(0 < seconds <= 0.1 + 1e-9 for seconds in time.sleeps)
    assert watcher.stats.longest_gap == pytest.approx(0.35, abs=0.05)


def test_heartbeat_gives_samples_without_changes() -> None:
    watcher, _ = watch_buffer(lambda *_: None, interval=0.1, heartbeat=0.5, timeout=1.05)
    assert [s.changes for s in watcher] == [(), (), ()]


def test_until_at_once_and_later() -> None:
    condition = Until.parse("u32+4 >= 3")

    def script(step, data):
        data[4] = step

    data = bytearray(8)
    time = FakeTime(lambda step: script(step, data))
    probe = MemoryProbe("qemu1", BufferMemory(data), 0, 8)
    watcher = Watcher([probe], until=condition.bind([probe]), clock=time.clock)
    list(watcher)
    assert watcher.ended is Ended.UNTIL
    assert data[4] == 3
    watcher = Watcher([probe], until=condition.bind([probe]), clock=time.clock)
    assert len(list(watcher)) == 1


@pytest.mark.parametrize(
    ("text", "data", "holds"),
    [
        ("u8==1", b"\1", True),
        ("u16==0x0201", b"\1\2", True),
        ("u16be==0x0102", b"\1\2", True),
        ("i8<0", b"\xff", True),
        ("i32==-1", b"\xff" * 4, True),
        ("u8&6", b"\4", True),
        ("u8&6", b"\1", False),
        ("hex==dead beef", b"\xde\xad\xbe\xef", True),
        ("hex+1!=ad", b"\xde\xad", False),
        ("u64 > 1", bytes(8), False),
    ],
)
def test_conditions_on_memory(text, data, holds) -> None:
    probe = MemoryProbe("qemu1", BufferMemory(data), 0, len(data))
    assert Until.parse(text).bind([probe])([data]) is holds


@pytest.mark.parametrize(
    "text", ["", "u32", "u32==", "u32==x", "==5", "hex==xyz", "hex<00", "u8+99==1", "u24==1"]
)
def test_bad_conditions(text) -> None:
    probe = MemoryProbe("qemu1", BufferMemory(bytes(8)), 0, 8)
    with pytest.raises(UsageError):
        Until.parse(text).bind([probe])


def test_widened_to_units() -> None:
    def script(step, data):
        if step == 1:
            data[5] = data[7] = data[8] = 1
            data[63] = 9

    watcher, _ = watch_buffer(script, width=4, count=2)
    changes = [c for s in watcher for c in s.changes]
    assert [(c.address, len(c.new)) for c in changes] == [(4, 8), (60, 4)]


@given(st.binary(min_size=1, max_size=300), st.integers(0, 9), st.sampled_from([1, 2, 4, 8]))
def test_changes_rebuild_the_new_bytes(new: bytes, start: int, width: int) -> None:
    old = bytes(len(new))
    memory = BufferMemory(old, [Segment(start, len(old), 0)])
    probe = MemoryProbe("m", memory, start, len(old), width=width)
    rebuilt = bytearray(old)
    last = -1
    for change in probe.changes(old, new):
        at = change.address - start
        assert at > last
        assert change.old == old[at : at + len(change.old)]
        rebuilt[at : at + len(change.new)] = change.new
        last = at + len(change.new)
    assert bytes(rebuilt) == new


def test_range_that_is_not_ram() -> None:
    with pytest.raises(FaultError):
        MemoryProbe("qemu1", BufferMemory(bytes(16)), 8, 16)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: os.truncate(path, 4096), "shrank"),
        (lambda path: (path.unlink(), path.write_bytes(bytes(65536))), "replaced"),
    ],
)
def test_ram_file_that_goes_away(tmp_path: Path, harm, says) -> None:
    path = tmp_path / "ram"
    path.write_bytes(bytes(65536))
    memory = RamFile(str(path), [Segment(0, 65536, 0)], name="qemu1")
    time = FakeTime(lambda step: harm(path) if step == 3 else None)
    watcher = Watcher([MemoryProbe("qemu1", memory, 0, 65536)], clock=time.clock)
    with pytest.raises(TargetError, match=says):
        list(watcher)
    assert watcher.stats.samples == 3


NAMES = {0: "qemu1", 1: "qemu2"}


def link_changes(tmp_path: Path, *acts) -> list[FieldChange]:
    switch = FakeSwitch()
    path = switch.save(tmp_path / "page")

    def script(step: int) -> None:
        if step <= len(acts):
            acts[step - 1](switch)
            switch.save(path)

    time = FakeTime(script)
    probe = LinkProbe(PageFile(path), NAMES)
    watcher = Watcher([probe], interval=1, timeout=len(acts) + 1, clock=time.clock)
    return [change for sample in watcher for change in sample.changes]


def test_link_fields_that_change(tmp_path: Path) -> None:
    changes = link_changes(
        tmp_path,
        lambda s: s.link_up(),
        lambda s: s.ring(1, 4),
        lambda s: s.clear_doorbell(1),
        lambda s: s.send(0, 3, 0xAA, source=1),
        lambda s: s.translate(0, address=0x1000000, size=0x1000),
    )
    assert FieldChange("qemu1", "link.to.qemu2", False, True) in changes
    assert FieldChange("qemu2", "doorbell.status", 0, 4) in changes
    assert FieldChange("qemu2", "doorbell.pending", 4, 0) in changes
    assert FieldChange("qemu1", "message3.data", 0, 0xAA) in changes
    assert FieldChange("qemu1", "mw0.address", 0, 0x1000000) in changes
    assert FieldChange("qemu1", "mw0.open", False, True) in changes


def test_link_field_conditions(tmp_path: Path) -> None:
    switch = FakeSwitch()
    probe = LinkProbe(PageFile(switch.save(tmp_path / "page")), NAMES)
    condition = Until.parse("qemu2.doorbell.status & 2").bind([probe])
    assert not condition([probe.read()])
    switch.ring(1, 2)
    switch.save(tmp_path / "page")
    assert condition([probe.read()])
    assert Until.parse("qemu1.port.state==attached").bind([probe])([probe.read()])
    assert Until.parse("qemu1.link.up==true").bind([probe])([probe.read()])
    with pytest.raises(UsageError, match=r"doorbell\.status"):
        Until.parse("qemu2.doorbell.stats==1").bind([probe])
    with pytest.raises(UsageError, match="word"):
        Until.parse("qemu1.port.state>attached").bind([probe])
    with pytest.raises(UsageError, match="not watched"):
        Until.parse("u32==1").bind([probe])


def test_a_page_that_goes_away(tmp_path: Path) -> None:
    path = FakeSwitch().save(tmp_path / "page")
    time = FakeTime(lambda _: path.unlink(missing_ok=True))
    with pytest.raises(TargetError):
        list(Watcher([LinkProbe(PageFile(path), NAMES)], clock=time.clock))


def test_a_field_that_appears_or_goes(tmp_path: Path) -> None:
    changes = link_changes(tmp_path, lambda s: s.detach(1))
    assert FieldChange("qemu2", "port.state", "attached", "free") in changes
