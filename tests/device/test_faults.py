# SPDX-License-Identifier: MIT
"""Guests that die, hang, reset or close while another one's processor writes without pause."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from tests.device import port as nt
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.firmware import PROGRESS, WRITE_WINDOW, looping_rom
from tests.device.port import WINDOW_SIZE, Port
from tests.device.soak import REPETITIONS
from tests.device.test_window import digest

TARGET = 0x1000000
LINK_DOWN_WITHIN = 3.0
QUIESCE_TIMEOUT = 0.05

#: milliseconds that a close waits for a peer which is alive; a busy host may be slow to answer
PATIENCE = 15_000

#: seconds that this host may take for what the device does at once
SLACK = 1.0


class Writer:
    """Partition 0: a guest whose processor fills its window, again and again."""

    def __init__(self, bench: Bench, processors: int = 1) -> None:
        rom = bench.folder / "writer.rom"
        address = nt.BAR2 + nt.BAR_SPACING
        rom.write_bytes(looping_rom(address, WRITE_WINDOW))
        argv = [
            word.replace("accel=qtest", "accel=tcg")
            for word in bench.argv(0, quiesce_timeout_ms=PATIENCE)
        ]
        self.port = bench.start_argv([*argv, "-bios", str(rom), "-smp", str(processors)], 0)
        assert self.port.bar2 == address
        self.ram = bench.ram(0)

    def turns(self) -> int:
        with self.ram.open("rb") as file:
            return struct.unpack("<I", os.pread(file.fileno(), 4, PROGRESS))[0]

    def work_on(self, turns: int = 1_000_000) -> None:
        """Wait until it has written that often, twice through its window."""
        start = self.turns()
        eventually(lambda: (self.turns() - start) % 2**32 >= turns, "the writer's progress")


Scene = tuple[Bench, Writer, Port]


def link(bench: Bench, writer: Writer) -> Port:
    """Start partition 1, link it, and wait until what is written reaches its RAM."""
    bench.ram(1).unlink(missing_ok=True)
    reader = bench.start(1, quiesce_timeout_ms=PATIENCE)
    for port in (writer.port, reader):
        port.init_link_events()
        port.link_enable()
    eventually(lambda: writer.port.link_up(reader) and reader.link_up(writer.port), "the link")
    writer.port.set_window(TARGET)
    eventually(lambda: arriving(bench), "writes to arrive")
    return reader


def arriving(bench: Bench) -> bool:
    return received(bench) != received(bench)


def received(bench: Bench) -> bytes:
    with bench.ram(1).open("rb") as file:
        return os.pread(file.fileno(), WINDOW_SIZE, TARGET)


def scene(bench: Bench, processors: int = 1) -> Scene:
    writer = Writer(bench, processors)
    return bench, writer, link(bench, writer)


@pytest.fixture
def writing(new_bench: Callable[..., Bench]) -> Iterator[Scene]:
    bench, writer, reader = scene(new_bench())
    yield bench, writer, reader
    writer.port.qemu.stop()


def test_peer_killed_during_writes(writing: Scene) -> None:
    bench, writer, reader = writing
    a = writer.port
    for _ in range(REPETITIONS):
        a.quiet()
        reader.qemu.kill()
        eventually(lambda: not a.link_up(reader), "link down", LINK_DOWN_WITHIN)  # noqa: B023
        assert a.read(nt.NTINTSTS) == nt.SEVENT
        assert a.qemu.read(a.bar2, 8) == 2**64 - 1
        writer.work_on(1000)  # its processor learns of it between two turns; nobody waits for that
        before = digest(bench.ram(1))
        writer.work_on()
        assert digest(bench.ram(1)) == before
        reader = link(bench, writer)
    assert a.stat("quiesce_timeouts") == 0
    assert a.qemu.log_text().count("warning") == 0


GATES: dict[str, tuple[Callable[[Port], None], Callable[[Port], None]]] = {
    "NTCTL": (lambda b: b.write(nt.NTCTL, 0), lambda b: b.write(nt.NTCTL, nt.CPEN)),
    "mapping": (lambda b: b.set_mapping(0), lambda b: b.set_mapping(1 | b.part << 17)),
    "bus mastering": (
        lambda b: b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY, 2),
        lambda b: b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY | nt.COMMAND_MASTER, 2),
    ),
}


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("gate", GATES)
def test_nothing_passes_once_the_link_is_disabled(
    new_bench: Callable[..., Bench], gate: str, processors: int
) -> None:
    """The write that closes returns, and from that moment no byte changes."""
    bench, writer, reader = scene(new_bench(), processors)
    close, reopen = GATES[gate]
    for _ in range(REPETITIONS):
        close(reader)
        before = received(bench)
        writer.work_on()
        assert received(bench) == before
        reopen(reader)
        eventually(lambda: arriving(bench), "writes to arrive again")
    assert reader.stat("quiesce_timeouts") == 0
    writer.port.qemu.stop()
    reader.qemu.stop()


def test_nothing_passes_once_a_reset_has_begun(writing: Scene) -> None:
    bench, writer, reader = writing
    for _ in range(REPETITIONS):
        reader.reset()
        before = digest(bench.ram(1))
        writer.work_on()
        reader.setup()
        writer.work_on()
        assert digest(bench.ram(1)) == before
        reader.link_enable()
        eventually(lambda: arriving(bench), "writes to arrive again")
    assert reader.stat("quiesce_timeouts") == 0


def test_peer_that_is_stopped_delays_a_close_only_so_long(bench: Bench) -> None:
    a, b = bench.start_pair()
    for port in (a, b):
        port.init_link_events()
        port.link_enable()
        port.set_window(TARGET)
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    for closing, stopped in ((a, b), (b, a)) * REPETITIONS:
        timeouts = closing.stat("quiesce_timeouts")
        stopped.qemu.process.send_signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            closing.write(nt.NTCTL, 0)
            took = time.monotonic() - begun
        finally:
            stopped.qemu.process.send_signal(signal.SIGCONT)
        assert QUIESCE_TIMEOUT <= took < QUIESCE_TIMEOUT + SLACK
        assert closing.stat("quiesce_timeouts") == timeouts + 1
        stopped.settle()
        assert not stopped.link_up(closing)
        assert not stopped.window_open()
        closing.write(nt.NTCTL, nt.CPEN)
        eventually(stopped.window_open, "the window to open again")
        closing.write(nt.NTCTL, 0)  # now that it runs again, it answers
        assert closing.stat("quiesce_timeouts") == timeouts + 1
        closing.write(nt.NTCTL, nt.CPEN)
    for port in (a, b):
        assert port.qemu.log_text().count("did not close their windows") == 1
