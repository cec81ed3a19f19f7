# SPDX-License-Identifier: MIT
"""Commands: what each does, what is refused, and when the answer comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.device.conftest import RAM_SIZE
from tests.device.deadline import eventually
from tests.device.epf import support as epf
from tests.device.epf.support import WINDOW_SIZE, EpfBench, EpfPort, Mw, link

Pair = tuple[EpfPort, EpfPort]
TARGET = 0x1000000

REFUSED = {
    "no command": (0, 0),
    "command 7": (7, 0),
    "command -1": (0xFFFFFFFF, 0),
    "no vector": (epf.CONFIGURE_DOORBELL, epf.USE_MSIX),
    "too many vectors": (epf.CONFIGURE_DOORBELL, epf.USE_MSIX | 9),
    "MSI instead of MSI-X": (epf.CONFIGURE_DOORBELL, 8),
    "window 2": (epf.CONFIGURE_MW, 2),
    "window -1": (epf.CONFIGURE_MW, 0xFFFFFFFF),
    "window 2 closed": (epf.TEARDOWN_MW, 2),
}

BAD_WINDOWS = {
    "no size": (TARGET, 0, 1),
    "larger than the window": (TARGET, WINDOW_SIZE + 1, 1),
    "huge": (TARGET, 1 << 63, 1),
    "in a page": (TARGET + 4, WINDOW_SIZE, 2),
    "beyond the last byte": (2**64 - 4096, 8192, 3),
}


@contextmanager
def stopped(port: EpfPort) -> Iterator[None]:
    os.kill(port.qemu.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(port.qemu.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("what", REFUSED)
def test_refused_commands(linked: Pair, what: str) -> None:
    a, b = linked
    before = a.stat("refused")
    command, argument = REFUSED[what]
    a.stage(TARGET, WINDOW_SIZE)
    assert a.command(command, argument) == epf.ERROR
    assert a.stat("refused") == before + 1
    assert (a.stat("command"), a.stat("argument")) == (command, argument)
    assert a.stat("vectors") == a.vectors
    assert [a.mw(n).state for n in range(4)] == [0] * 4
    assert a.link_up()
    assert b.link_up()


@pytest.mark.parametrize("what", BAD_WINDOWS)
def test_refused_windows(linked: Pair, what: str) -> None:
    """The driver throws the answer away: the page keeps what was asked, and why it was not done."""
    a, b = linked
    address, size, reason = BAD_WINDOWS[what]
    assert a.set_window(TARGET) == epf.OK
    assert b.window_open()
    assert a.set_window(address, size) == epf.ERROR
    assert a.mw(0) == Mw(address, size, 2, reason)
    assert not b.window_open(), "what was set before has been torn down"
    assert b.qemu.read(b.bar4) == 0xFFFFFFFF


def test_a_window(linked: Pair) -> None:
    a, b = linked
    assert a.set_window(TARGET, index=1) == epf.OK
    assert a.mw(1) == Mw(TARGET, WINDOW_SIZE, 1, 0)
    assert b.stat("mw_open") == 2
    assert a.stat("mw_open") == 0
    assert a.command(epf.TEARDOWN_MW, 1) == epf.OK
    assert a.mw(1) == Mw(0, 0, 0, 0)
    assert b.stat("mw_open") == 0
    assert a.command(epf.TEARDOWN_MW, 1) == epf.OK, "link_cleanup does that"


def test_a_window_moves(linked: Pair) -> None:
    a, b = linked
    for n in range(8):
        a.qemu.write(TARGET + n * 0x1000, n)
        assert a.set_window(TARGET + n * 0x1000, 0x1000) == epf.OK
        assert b.qemu.read(b.bar4) == n, "what is written next goes to the new place"
        assert b.qemu.read(b.bar4 + 0x1000) == 0xFFFFFFFF


@pytest.mark.parametrize("address", [RAM_SIZE, 0xFEE00000, 1 << 40, 2**64 - (2 << 20)])
def test_an_address_outside_of_ram_is_no_error(linked: Pair, address: int) -> None:
    """The hardware would not know."""
    a, b = linked
    assert a.set_window(address) == epf.OK
    assert a.mw(0).state == 1
    assert not b.window_open()
    assert b.qemu.read(b.bar4 + 8, 8) == 2**64 - 1


def test_the_end_of_ram(linked: Pair) -> None:
    a, b = linked
    assert a.set_window(RAM_SIZE - 4096) == epf.OK
    b.qemu.write(b.bar4 + 4092, 0x12345678)
    assert a.qemu.read(RAM_SIZE - 4) == 0x12345678
    assert b.qemu.read(b.bar4 + 4096) == 0xFFFFFFFF


def test_doorbells_on_and_off(pair: Pair) -> None:
    a, _ = pair
    assert a.stat("vectors") == 0
    assert a.configure_doorbell(4) == epf.OK
    assert a.stat("vectors") == 4
    assert a.command(epf.TEARDOWN_DOORBELL, 4) == epf.OK
    assert a.stat("vectors") == 0


def test_the_link_alone(bench: EpfBench) -> None:
    """LINK_UP succeeds although nobody is there."""
    a = bench.start(0)
    assert a.command(epf.LINK_UP) == epf.OK
    assert a.stat("link_enabled") == 1
    assert not a.link_up()
    assert a.set_window(TARGET) == epf.OK
    assert a.command(epf.LINK_DOWN) == epf.OK
    assert a.stat("link_enabled") == 0
    assert a.stat("quiesce_timeouts") == 0


def waits(a: EpfPort) -> bool:
    """Whether the command has no answer yet; a host that took half a second has given it one."""
    return a.status() == 0 or a.stat("quiesce_timeouts") > 0


ALTERATIONS: dict[str, Callable[[EpfPort], None]] = {
    "opens": lambda a: a.begin(epf.CONFIGURE_MW, 1),
    "moves": lambda a: a.begin(epf.CONFIGURE_MW, 0),
    "closes": lambda a: a.begin(epf.TEARDOWN_MW, 0),
    "link": lambda a: a.begin(epf.LINK_DOWN),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_the_answer_waits_for_the_peer(bench: EpfBench, what: str) -> None:
    a, b = bench.start_pair()
    link(a, b)
    assert a.set_window(TARGET) == epf.OK
    a.stage(TARGET + WINDOW_SIZE, WINDOW_SIZE)
    with stopped(b):
        ALTERATIONS[what](a)
        assert waits(a)
        pending = a.stat("pending")
        # the guest goes on meanwhile, and is told when it does too much
        a.write(epf.COMMAND, epf.LINK_UP)
        assert a.status() == epf.ERROR or a.stat("quiesce_timeouts")
        assert a.stat("pending") in (pending, 0)
        a.write(epf.CMD_STATUS, 0, 2)
    if not a.stat("quiesce_timeouts"):
        assert eventually(a.status, "the answer") == epf.OK
    assert a.stat("pending") == 0
    acknowledged = bench.page.get_all(0, "ack")[1]
    assert acknowledged == a.stat("down_epoch") or a.stat("quiesce_timeouts")


def test_a_peer_that_never_answers(bench: EpfBench) -> None:
    a, b = bench.start_pair()
    link(a, b)
    with stopped(b):
        for n in range(2):
            assert a.set_window(TARGET + n * WINDOW_SIZE) == epf.OK
            assert a.stat("quiesce_timeouts") == n + 1
    assert a.qemu.log_text().count("did not close their windows within 500 ms") == 1
    eventually(b.window_open, "the peer to follow")


def test_a_peer_that_dies_is_not_waited_for(bench: EpfBench) -> None:
    a, b = bench.start_pair()
    link(a, b)
    with stopped(b):
        a.begin(epf.LINK_DOWN)
        b.qemu.process.kill()
    assert eventually(a.status, "the answer") == epf.OK


def test_a_reset_forgets_the_command(bench: EpfBench) -> None:
    a, b = bench.start_pair()
    link(a, b)
    with stopped(b):
        a.begin(epf.LINK_DOWN)
        a.reset()
    a.setup()
    assert a.status() == 0
    assert a.stat("pending") == 0
    assert a.command(epf.LINK_UP) == epf.OK
