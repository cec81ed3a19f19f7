# SPDX-License-Identifier: MIT
"""A switch of six ports, each in a QEMU of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.device import port as nt
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.port import PORTS, WINDOW_SIZE, Port
from tests.device.qtest import Build
from tests.device.test_window import digest

TARGET = 0x1000000
ALL = range(6)


@pytest.fixture(scope="module")
def six(build: Build) -> Iterator[tuple[Bench, list[Port]]]:
    """Six QEMUs whose drivers report every link as up."""
    with ExitStack() as stack:
        bench = Bench(build, stack)
        ports = [bench.start(part, nports=6) for part in ALL]
        for port in ports:
            port.enable_msi()
            port.init_link_events(nports=6)
        for port in ports:
            port.link_enable()
        eventually(
            lambda: all(p.link_up(q) for p in ports for q in ports if p is not q), "all links"
        )
        yield bench, ports


@pytest.fixture
def ports(six: tuple[Bench, list[Port]]) -> list[Port]:
    _, ports = six
    for port in ports:
        port.settle()
        port.write(nt.INDBELLSTS, nt.ALL_ONES)
        port.write(nt.MSGSTS, nt.ALL_ONES)
        port.quiet()
    return ports


def test_everybody_sees_everybody(ports: list[Port]) -> None:
    for port in ports:
        for part in ALL:
            status = port.gasa_read(nt.SWPORTSTS + 0x20 * PORTS[part])
            assert status == 0xD0 | part << 10
            assert port.gasa_read(nt.SWPARTSTS + 0x20 * part) == 0x4120 | PORTS[part] << 9
            assert port.gasa_read(nt.image_address(PORTS[part], 0x4C)) >> 24 == PORTS[part]
        assert port.gasa_read(nt.SWPORTSTS + 0x20 * 10) == 0
        assert port.gasa_read(nt.SWPARTSTS + 0x20 * 6) == 0


def test_doorbells_reach_all_others(ports: list[Port]) -> None:
    for sender in ports:
        sender.write(nt.OUTDBELLSET, 1 << sender.part)
    for port in ports:
        port.settle()
        everybody_else = 0x3F & ~(1 << port.part)
        assert port.read(nt.INDBELLSTS) == everybody_else
        assert port.gasa_read(nt.GDBELLSTS) == 0x3F
        assert port.take_msi()


def test_doorbell_routing_is_shown(ports: list[Port]) -> None:
    for port in ports:
        for doorbell in range(32):
            assert port.gasa_read(nt.GODBELLMSK + 4 * doorbell) == 0xC0
            assert port.gasa_read(nt.GIDBELLMSK + 4 * doorbell) == 0xC0 | 1 << port.part


def test_messages_reach_one(ports: list[Port]) -> None:
    for sender in ports:
        receiver = ports[(sender.part + 1) % 6]
        sender.send_message(0, receiver.part, 2, 0x1000 + sender.part)
    for port in ports:
        sender_part = (port.part - 1) % 6
        assert port.read(nt.MSGSTS) == 1 << 18
        assert port.read(nt.INMSG0 + 8) == 0x1000 + sender_part
        assert port.read(nt.INMSGSRC0 + 8) == sender_part


def test_two_senders_to_one_register(ports: list[Port]) -> None:
    first, second, receiver = ports[1], ports[4], ports[5]
    first.send_message(0, 5, 0, 111)
    second.send_message(0, 5, 0, 222)
    assert first.read(nt.MSGSTS) == 0
    assert second.read(nt.MSGSTS) == 1
    assert (receiver.read(nt.INMSG0), receiver.read(nt.INMSGSRC0)) == (111, 1)
    receiver.write(nt.MSGSTS, 1 << 16)
    second.write(nt.MSGSTS, 1)
    second.write(nt.OUTMSG0, 333)
    assert second.read(nt.MSGSTS) == 0
    assert (receiver.read(nt.INMSG0), receiver.read(nt.INMSGSRC0)) == (333, 4)


def test_signals_reach_all(ports: list[Port]) -> None:
    ports[3].write(nt.NTGSIGNAL, 1)
    for port in ports:
        port.settle()
        assert port.gasa_read(nt.SEGSIGSTS) == 1 << 3
        assert port.read(nt.NTINTSTS) & nt.SEVENT


def test_windows_from_everybody_to_everybody(six: tuple[Bench, list[Port]]) -> None:
    bench, ports = six
    for port in ports:
        for target in ports:
            if target is not port:
                at = TARGET + port.part * WINDOW_SIZE
                port.set_entry(target.part, at, part=target.part)
                port.qemu.write(port.bar4 + target.part * WINDOW_SIZE, 0xAB00 + port.part, 8)
    for target in ports:
        for sender in ports:
            value = target.qemu.read(TARGET + sender.part * WINDOW_SIZE, 8)
            assert value == (0 if sender is target else 0xAB00 + sender.part)
    for port in ports:
        assert port.stat("mw_open") == (0x3F & ~(1 << port.part)) << 1
    # one that goes down closes the windows into it, and no other
    ports[2].link_disable()
    before = digest(bench.ram(2))
    for port in ports:
        if port.part != 2:
            port.qemu.write(port.bar4 + 2 * WINDOW_SIZE, 0xDEAD, 8)
            port.settle()
            assert port.stat("mw_open") == (0x3F & ~(1 << port.part | 1 << 2)) << 1
    assert digest(bench.ram(2)) == before
    ports[2].link_enable()
    for port in ports:
        port.settle()
        for entry in ALL:
            port.clear_entry(entry)


def test_an_entry_of_the_mapping_table_is_its_owners(ports: list[Port]) -> None:
    for port in ports:
        for part in ALL:
            port.write(nt.NTMTBLADDR, part)
            assert port.read(nt.NTMTBLDATA) == 1 | part << 17
            if part != port.part:
                port.write(nt.NTMTBLDATA, 0)
                assert port.read(nt.NTMTBLSTS) == 1
                port.write(nt.NTMTBLSTS, 1)
                assert port.read(nt.NTMTBLDATA) == 1 | part << 17


def test_one_leaves_and_comes_back(six: tuple[Bench, list[Port]]) -> None:
    bench, ports = six
    ports[5].qemu.kill()
    for port in ports[:5]:
        eventually(lambda port=port: not port.sees_port(ports[5]), "the link to go down")
        port.settle()
        assert port.gasa_read(nt.SELINKDNSTS) == 1 << 12
        assert all(port.link_up(other) for other in ports[:5] if other is not port)
    bench.ram(5).unlink()
    ports[5] = bench.start(5, nports=6)
    ports[5].enable_msi()
    ports[5].init_link_events(nports=6)
    ports[5].link_enable()
    for port in ports[:5]:
        eventually(lambda port=port: port.link_up(ports[5]), "the link to come up")
        port.settle()
        assert port.gasa_read(nt.SELINKUPSTS) == 1 << 12
        assert port.read(nt.NTINTSTS) & nt.SEVENT


@pytest.mark.parametrize("nports", [3, 4, 5])
def test_switches_of_other_sizes(bench: Bench, nports: int) -> None:
    """What is configured works; partitions that are not do not exist."""
    ports = [bench.start(part, nports=nports) for part in range(nports)]
    for port in ports:
        port.link_enable()
    eventually(lambda: all(p.link_up(q) for p in ports for q in ports if p is not q), "all links")
    everybody = set(range(nports))
    for port in ports:
        assert {p for p in ALL if port.gasa_read(nt.SWPORTSTS + 0x20 * PORTS[p])} == everybody
        assert {p for p in ALL if port.gasa_read(nt.SWPARTSTS + 0x20 * p)} == everybody
        port.write(nt.OUTDBELLSET, 1 << port.part)
        for part in range(8):
            reached = part in everybody - {port.part}
            port.send_message(3, part, port.part % 4, 0x500 + port.part)
            refused = port.read(nt.MSGSTS) >> 3 & 1
            # two of five share a register, and the second finds it full
            assert refused == (not reached or (port.part == 4 and part != 0))
            port.write(nt.MSGSTS, 8)
            port.set_entry(part, TARGET + port.part * WINDOW_SIZE, part=part)
            assert port.window_open(1 + part) == reached
            port.qemu.write(port.bar4 + part * WINDOW_SIZE, 0xAB00 + port.part, 8)
    for port in ports:
        port.settle()
        assert port.read(nt.INDBELLSTS) == (1 << nports) - 1 & ~(1 << port.part)
        for sender in range(nports):
            value = port.qemu.read(TARGET + sender * WINDOW_SIZE, 8)
            assert value == (0 if sender == port.part else 0xAB00 + sender)
        for sender in everybody - {port.part}:
            if sender < 4 or port.part == 0:
                assert port.read(nt.INMSG0 + 4 * (sender % 4)) == 0x500 + sender
                assert port.read(nt.INMSGSRC0 + 4 * (sender % 4)) == sender
