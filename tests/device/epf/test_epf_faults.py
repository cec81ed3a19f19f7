# SPDX-License-Identifier: MIT
"""What happens to a guest whose peer's processor writes through its window without pause."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.device.deadline import eventually
from tests.device.epf import support as epf
from tests.device.epf.support import WINDOW_SIZE, EpfBench, EpfPort, link
from tests.device.firmware import PROGRESS, WRITE_WINDOW, looping_rom

TARGET = 0x1000000


def start_writer(bench: EpfBench, processors: int) -> EpfPort:
    """Partition 0: a guest whose processor fills its window, again and again."""
    rom = bench.folder / "writer.rom"
    rom.write_bytes(looping_rom(epf.BAR4 + (1 << 26), WRITE_WINDOW))
    argv = [word.replace("accel=qtest", "accel=tcg") for word in bench.argv(0)]
    return bench.start_argv([*argv, "-bios", str(rom), "-smp", str(processors)], 0)


def turns(ram: Path) -> int:
    return struct.unpack("<I", at(ram, PROGRESS, 4))[0]


def at(ram: Path, address: int, size: int) -> bytes:
    with ram.open("rb") as file:
        return os.pread(file.fileno(), size, address)


def work_on(ram: Path) -> None:
    """Wait until the writer has gone twice through its window."""
    start = turns(ram)
    eventually(lambda: (turns(ram) - start) % 2**32 >= 1_000_000, "the writer's progress")


TAKE_AWAY: dict[str, Callable[[EpfPort], int]] = {
    "window": lambda b: b.command(epf.TEARDOWN_MW, 0),
    "link": lambda b: b.command(epf.LINK_DOWN),
    "move": lambda b: b.set_window(TARGET + 2 * WINDOW_SIZE),
}


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("what", TAKE_AWAY)
def test_nothing_arrives_after_the_answer(bench: EpfBench, what: str, processors: int) -> None:
    """The driver frees the buffer next."""
    a, b = start_writer(bench, processors), bench.start(1)
    link(a, b)
    ram = bench.ram(1)
    for _ in range(3):
        assert b.set_window(TARGET) == epf.OK
        b.command(epf.LINK_UP)
        before = at(ram, TARGET, WINDOW_SIZE)
        eventually(lambda: at(ram, TARGET, WINDOW_SIZE) != before, "writes to arrive")  # noqa: B023
        assert TAKE_AWAY[what](b) == epf.OK
        kept = at(ram, TARGET, WINDOW_SIZE)
        work_on(bench.ram(0))
        # a host that was busy elsewhere for half a second is the one excuse
        assert at(ram, TARGET, WINDOW_SIZE) == kept or b.stat("quiesce_timeouts")
    a.qemu.stop()


def test_a_peer_killed_during_writes(bench: EpfBench) -> None:
    a, b = start_writer(bench, 1), bench.start(1)
    link(a, b)
    assert b.set_window(TARGET) == epf.OK
    eventually(lambda: any(at(bench.ram(1), TARGET, WINDOW_SIZE)), "writes to arrive")
    b.qemu.kill()
    eventually(lambda: not a.link_up(), "link down")
    assert a.qemu.read(a.bar4, 8) == 2**64 - 1
    work_on(bench.ram(0))
    assert a.stat("quiesce_timeouts") == 0
    a.qemu.stop()
