# SPDX-License-Identifier: MIT
"""When the link is up, whom that interrupts, and what brings it down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.device.deadline import eventually
from tests.device.epf import support as epf
from tests.device.epf.support import EpfBench, EpfPort, link, probe
from tests.device.function import COMMAND_MASTER, COMMAND_MEMORY, PCI_COMMAND
from tests.device.test_cable import plug

Pair = tuple[EpfPort, EpfPort]
TARGET = 0x1000000


def test_both_must_want_it(pair: Pair) -> None:
    a, b = pair
    for port in pair:
        probe(port)
    before = a.stat("link_irqs")
    assert a.command(epf.LINK_UP) == epf.OK
    assert not a.link_up()
    assert not b.link_up()
    assert b.command(epf.LINK_UP) == epf.OK
    assert b.link_up(), "the first word after the command says so"
    a.settle()
    assert a.link_up()
    assert (a.raised(), b.raised()) == ({0}, set()), "who has not asked for it is interrupted"
    assert a.stat("link_irqs") == before + 1


@pytest.mark.parametrize("closer", [0, 1])
def test_down_and_up_again(linked: Pair, closer: int) -> None:
    own, other = linked[closer], linked[1 - closer]
    for command, up in ((epf.LINK_DOWN, False), (epf.LINK_UP, True)) * 3:
        assert own.command(command) == epf.OK
        other.settle()
        assert [port.link_up() for port in linked] == [up, up]
        assert (own.raised(), other.raised()) == (set(), {0})


def test_nothing_before_the_doorbells_are_configured(pair: Pair) -> None:
    a, b = pair
    for port in pair:
        port.enable_msix()
    assert a.command(epf.LINK_UP) == epf.OK
    probe(b)
    assert b.command(epf.LINK_UP) == epf.OK
    a.settle()
    assert a.link_up()
    dropped = a.stat("dropped_rx")
    b.ring(3)
    a.settle()
    assert a.raised() == set()
    assert a.stat("dropped_rx") == dropped + 1
    assert a.waiting() == 0, "nor does it come later"
    assert a.configure_doorbell() == epf.OK
    assert a.raised() == set()
    b.ring(3)
    a.settle()
    assert a.raised() == {3}


def test_nothing_after_they_are_torn_down(linked: Pair) -> None:
    a, b = linked
    assert a.command(epf.TEARDOWN_DOORBELL, a.vectors) == epf.OK
    b.ring(2)
    assert b.command(epf.LINK_DOWN) == epf.OK
    a.settle()
    assert not a.link_up()
    assert a.raised() == set()


def bus_master(port: EpfPort, on: bool) -> None:
    port.cfg_write(PCI_COMMAND, COMMAND_MEMORY | on * COMMAND_MASTER, 2)


@pytest.mark.parametrize("at", [0, 1])
def test_bus_mastering(linked: Pair, at: int) -> None:
    """Without it a port neither sends nor takes."""
    own, other = linked[at], linked[1 - at]
    for port in linked:
        port.set_window(TARGET)
    bus_master(own, False)
    other.settle()
    assert [port.link_up() for port in linked] == [False, False]
    assert [port.stat("mw_open") for port in linked] == [0, 0]
    bus_master(own, True)
    other.settle()
    assert [port.link_up() for port in linked] == [True, True]
    assert [port.stat("mw_open") for port in linked] == [1, 1]
    assert own.raised() == set()
    assert other.raised() == {0}


LEAVE: dict[str, Callable[[EpfPort], None]] = {
    "reset": lambda port: port.reset(),
    "killed": lambda port: port.qemu.kill(),
    "quit": lambda port: port.qemu.stop(),
}


@pytest.mark.parametrize("how", LEAVE)
def test_a_peer_that_leaves(bench: EpfBench, how: str) -> None:
    a, b = bench.start_pair()
    link(a, b)
    for port in (a, b):
        assert port.set_window(TARGET) == epf.OK
        port.set_spad(1, 4)
    LEAVE[how](b)
    eventually(lambda: not a.link_up(), "link down")
    assert a.raised() == {0}
    assert a.stat("mw_open") == 0
    assert a.spad(1) == 4
    eventually(lambda: a.peer_spad(1) == 0, "the end of the other's memory")
    if how == "reset":
        b.setup()
    else:
        b = bench.start(1)
    assert b.spad(1) == 0, "it remembers nothing of its past life"
    assert [b.mw(0).state, b.stat("vectors"), b.stat("link_enabled"), b.status()] == [0] * 4
    probe(b)
    assert b.command(epf.LINK_UP) == epf.OK
    a.settle()
    assert a.link_up()
    assert a.raised() == {0}
    assert b.window_open(), "our translation is still in force"


def test_reset_of_the_own_side(linked: Pair) -> None:
    a, b = linked
    assert a.set_window(TARGET) == epf.OK
    a.stage(1, 2)
    a.set_spad(5, 6)
    a.mask(2)
    a.reset()
    a.setup()
    assert a.qemu.read_bytes(a.bar0, 0x34)[:0x20] == bytes(0x20)
    assert a.spad(5) == 0
    assert a.mw(0).state == 0
    assert a.cfg_read(epf.MSIX_CAP + 2, 2) & epf.MSIX_ENABLE == 0
    assert not a.link_up()
    b.settle()
    assert not b.link_up()
    assert b.raised() == {0}
    link(a, b)


def test_doorbells_of_a_past_life_are_gone(linked: Pair) -> None:
    a, b = linked
    a.page.put(0, "indbellsts", 0xFF)
    a.reset()
    a.setup()
    link(a, b)
    assert a.raised() == set()


def test_a_peer_that_was_away_for_a_moment(linked: Pair) -> None:
    """Its levels say up again by the time they are looked at; it has forgotten all all the same."""
    a, b = linked
    b.page.put(0, "ev_linkdn", 1 << 1)
    b.set_peer_spad(0, 1)
    interrupts = a.stat("link_irqs")
    b.command(epf.CONFIGURE_MW, 9)
    b.ring(2)
    a.settle()
    assert a.link_up()
    assert a.stat("link_irqs") == interrupts + 2, "down, and up"


@pytest.mark.parametrize("at", [0, 1])
def test_the_cable(bench: EpfBench, at: int) -> None:
    """Both drivers are interrupted: neither has asked for it."""
    pair = bench.start_pair()
    link(*pair)
    own, other = pair[at], pair[1 - at]
    assert own.set_window(TARGET) == epf.OK
    assert other.window_open()
    for plugged in (False, True):
        plug(own, plugged)
        for port in pair:
            port.settle()
        assert [port.link_up() for port in pair] == [plugged] * 2
        assert [port.raised() for port in pair] == [{0}] * 2
        assert other.window_open() is plugged


def test_ports_of_one_guest(new_bench: Callable[..., EpfBench]) -> None:
    """Two ports in one QEMU serve each other while one waits."""
    bench = new_bench()
    a = bench.start(0, extra_port=1)
    b = EpfPort(a.qemu, bench.page, 1, slot=2)
    b.setup()
    link(a, b)
    assert a.set_window(TARGET) == epf.OK
    assert b.window_open()
    b.qemu.write(b.bar4 + 16, 0xCAFE)
    assert a.qemu.read(TARGET + 16) == 0xCAFE
    bus_master(a, False)
    assert not b.window_open()
    assert a.stat("quiesce_timeouts") == b.stat("quiesce_timeouts") == 0
