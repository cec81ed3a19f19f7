# SPDX-License-Identifier: MIT
"""The cable of one port, pulled and plugged in from outside, as each side's driver sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.device import port as nt
from tests.device.deadline import eventually
from tests.device.port import Port

if TYPE_CHECKING:
    from tests.device.conftest import Bench

Pair = tuple[Port, Port]

UNPLUGGED = 8
DEVICE = "/machine/peripheral-anon/device[0]"
TARGET = 0x100000


def plug(port: Port, plugged: bool) -> None:
    port.qemu.qmp("qom-set", path=DEVICE, property="link", value=plugged)


def settle(*ports: Port) -> None:
    for port in ports:
        port.settle()


@pytest.fixture
def wired(linked: Pair) -> Iterator[Pair]:
    """Linked ports, whose cables are in again afterwards."""
    yield linked
    for port in linked:
        plug(port, True)


def down_and_up_again(wired: Pair, pulled: Port) -> None:
    a, b = wired
    plug(pulled, False)
    settle(a, b)
    assert (a.link_up(b), b.link_up(a)) == (False, False)
    assert pulled.stat("flags") & UNPLUGGED
    plug(pulled, True)
    settle(a, b)
    assert (a.link_up(b), b.link_up(a)) == (True, True)
    assert not pulled.stat("flags") & UNPLUGGED


def test_both_sides_see_it(wired: Pair) -> None:
    for port in wired:
        down_and_up_again(wired, port)


def test_each_side_is_told_once_each_time(wired: Pair) -> None:
    a, b = wired
    told = {a: nt.PORTS[1], b: nt.PORTS[0]}
    for plugged, status in ((False, nt.SELINKDNSTS), (True, nt.SELINKUPSTS)):
        plug(a, plugged)
        settle(a, b)
        for port, peer in told.items():
            assert port.gasa_read(status) == 1 << peer, (plugged, port.part)
            assert port.read(nt.NTINTSTS) == nt.SEVENT
        for port in wired:
            port.quiet()
            assert (port.gasa_read(nt.SELINKDNSTS), port.gasa_read(nt.SELINKUPSTS)) == (0, 0)


def test_nothing_passes_meanwhile(wired: Pair) -> None:
    a, b = wired
    b.qemu.write(TARGET, 0x600D)
    a.set_window(TARGET)
    assert a.qemu.read(a.bar2) == 0x600D
    plug(b, False)
    settle(a, b)
    for sender, receiver in ((a, b), (b, a)):
        sender.write(nt.OUTDBELLSET, 1)
        sender.send_message(0, receiver.part, 0, 0xBAD)
        receiver.settle()
        assert receiver.read(nt.INDBELLSTS) == 0
        assert receiver.read(nt.MSGSTS) & 0x10000 == 0, "nothing in its inbox"
    assert not a.window_open()
    assert a.qemu.read(a.bar2) == nt.ALL_ONES
    a.qemu.write(a.bar2, 0xBAD)
    assert b.qemu.read(TARGET) == 0x600D
    plug(b, True)
    settle(b, a)
    assert a.qemu.read(a.bar2) == 0x600D


def test_what_a_peer_does_meanwhile_is_seen_when_it_is_in_again(wired: Pair) -> None:
    a, b = wired
    plug(a, False)
    b.link_disable()
    plug(b, False)
    settle(a, b)
    plug(a, True)
    settle(b, a)
    assert not a.sees_port(b), "its own cable is still out"
    plug(b, True)
    settle(a, b)
    assert a.sees_port(b)
    assert not a.link_up(b), "it was disabled meanwhile"
    b.link_enable()
    settle(a)
    assert a.link_up(b)


def test_a_reset_does_not_plug_it_in(wired: Pair) -> None:
    a, b = wired
    plug(a, False)
    a.reset()
    a.setup()
    settle(b)
    assert not b.sees_port(a)
    plug(a, True)
    settle(a, b)
    assert b.sees_port(a)


def test_saying_the_same_again_is_nothing(wired: Pair) -> None:
    a, b = wired
    assert a.qemu.qmp("qom-get", path=DEVICE, property="link") is True
    plug(a, True)
    settle(a, b)
    assert (a.read(nt.NTINTSTS), b.read(nt.NTINTSTS)) == (0, 0)


def test_a_port_may_begin_without(bench: Bench) -> None:
    a, b = bench.start(0, link="off"), bench.start(1)
    settle(a, b)
    assert a.stat("flags") & UNPLUGGED
    assert not b.sees_port(a)
    plug(a, True)
    eventually(lambda: a.sees_port(b) and b.sees_port(a), "both ports to see each other")
