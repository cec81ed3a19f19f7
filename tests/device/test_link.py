# SPDX-License-Identifier: MIT
"""Link state as the driver computes it, and the events that make it look."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.device import port as nt
from tests.device.deadline import eventually
from tests.device.port import Port

if TYPE_CHECKING:
    from tests.device.conftest import Bench

Pair = tuple[Port, Port]


def test_link_comes_up_when_both_enable_it(pair: Pair) -> None:
    a, b = pair
    assert not a.link_up(b)
    a.link_enable()
    b.settle()
    assert not a.link_up(b)
    assert not b.link_up(a)
    b.link_enable()
    a.settle()
    assert a.link_up(b)
    assert b.link_up(a)


def test_disabling_is_seen_on_both_sides(linked: Pair) -> None:
    a, b = linked
    b.link_disable()
    a.settle()
    assert not b.link_up(a)
    assert not a.link_up(b)
    assert a.take_msi() == 0x4321
    assert a.read(nt.NTINTSTS) == nt.SEVENT
    assert a.gasa_read(nt.SESTS) == 0x20
    assert a.gasa_read(nt.SEGSIGSTS) == 0b10


@pytest.mark.parametrize("gate", ["command", "ntctl", "mapping"])
def test_each_level_alone_takes_the_link_down(linked: Pair, gate: str) -> None:
    a, b = linked
    {
        "command": lambda: b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY, 2),
        "ntctl": lambda: b.write(nt.NTCTL, 0),
        "mapping": lambda: b.set_mapping(0),
    }[gate]()
    a.settle()
    assert not a.link_up(b)
    assert a.read(nt.NTINTSTS) == 0  # levels alone are no event


def test_signal_reaches_its_sender_too(linked: Pair) -> None:
    a, b = linked
    a.write(nt.NTGSIGNAL, 1)
    b.settle()
    for port in linked:
        assert port.read(nt.NTINTSTS) == nt.SEVENT
        assert port.gasa_read(nt.SEGSIGSTS) == 1
        assert port.take_msi() == 0x4321


def test_event_stays_latched_when_its_status_is_cleared(linked: Pair) -> None:
    """The sender clears SEGSIGSTS at once; SEVENT must survive that."""
    a, _ = linked
    a.signal()
    assert a.gasa_read(nt.SEGSIGSTS) == 0
    assert a.read(nt.NTINTSTS) == nt.SEVENT
    a.write(nt.NTINTSTS, nt.ALL_ONES)
    assert a.read(nt.NTINTSTS) == 0


@pytest.mark.parametrize(
    ("register", "bit"), [(nt.SEMSK, 5), (nt.SEPMSK, 0), (nt.SEGSIGMSK, 1)], ids=hex
)
def test_each_mask_alone_blocks_a_signal(linked: Pair, register: int, bit: int) -> None:
    a, b = linked
    a.gasa_write(register, a.gasa_read(register) | 1 << bit)
    b.write(nt.NTGSIGNAL, 1)
    a.settle()
    assert a.gasa_read(nt.SEGSIGSTS) == 0b10
    assert a.read(nt.NTINTSTS) == 0
    assert a.take_msi() == 0
    a.gasa_write(register, a.gasa_read(register) & ~(1 << bit))
    b.write(nt.NTGSIGNAL, 1)
    a.settle()
    assert a.read(nt.NTINTSTS) == nt.SEVENT
    assert a.take_msi() == 0x4321


@pytest.mark.parametrize(
    ("register", "bit", "blocks"),
    [
        (None, 0, ""),
        (nt.SEMSK, 0, "up"),
        (nt.SEMSK, 1, "down"),
        (nt.SEPMSK, 0, "updown"),
        (nt.SELINKUPMSK, 2, "up"),
        (nt.SELINKDNMSK, 2, "down"),
    ],
    ids=str,
)
def test_reset_of_the_peer_posts_link_events(
    linked: Pair, register: int | None, bit: int, blocks: str
) -> None:
    a, b = linked
    # whichever event is asked about, the other one must not raise SEVENT
    for asked in ("down", "up"):
        a.gasa_write(nt.SEMSK, ~0x3 & nt.ALL_ONES)
        a.gasa_write(nt.SEPMSK, ~0x3 & nt.ALL_ONES)
        a.gasa_write(nt.SELINKUPMSK, 0 if asked == "up" else nt.ALL_ONES)
        a.gasa_write(nt.SELINKDNMSK, 0 if asked == "down" else nt.ALL_ONES)
        if register is not None:
            a.gasa_write(register, a.gasa_read(register) | 1 << bit)
        a.quiet()
        b.reset()
        b.setup()
        a.settle()
        assert a.gasa_read(nt.SELINKUPSTS) == 1 << 2
        assert a.gasa_read(nt.SELINKDNSTS) == 1 << 2
        expected = 0 if asked in blocks else nt.SEVENT
        assert a.read(nt.NTINTSTS) == expected, asked


def test_reset_takes_the_link_down(linked: Pair) -> None:
    a, b = linked
    b.reset()
    b.setup()
    a.settle()
    assert a.sees_port(b)
    assert not a.link_up(b)
    b.link_enable()
    a.settle()
    assert a.link_up(b)


def test_sests_follows_status_and_masks(linked: Pair) -> None:
    a, b = linked
    b.write(nt.NTGSIGNAL, 1)
    a.settle()
    assert a.gasa_read(nt.SESTS) == 0x20
    a.gasa_write(nt.SEGSIGMSK, nt.ALL_ONES)
    assert a.gasa_read(nt.SESTS) == 0
    a.gasa_write(nt.SEGSIGMSK, 0)
    a.gasa_write(nt.SEGSIGSTS, 0b01)
    assert a.gasa_read(nt.SESTS) == 0x20
    a.gasa_write(nt.SEGSIGSTS, 0b10)
    assert a.gasa_read(nt.SESTS) == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
def test_either_port_may_start_first(bench: Bench, order: tuple[int, int]) -> None:
    first = bench.start(order[0])
    first.init_link_events()
    first.link_enable()
    other_number = nt.PORTS[order[1]]
    assert first.gasa_read(nt.SWPORTSTS + 0x20 * other_number) & 0x1F0 == 0xC0  # there, but down
    first.quiet()
    second = bench.start(order[1])
    first.settle()
    assert first.gasa_read(nt.SELINKUPSTS) == 1 << other_number
    assert first.read(nt.NTINTSTS) == nt.SEVENT
    second.init_link_events()
    second.link_enable()
    first.settle()
    assert first.link_up(second)
    assert second.link_up(first)
    first.write(nt.OUTDBELLSET, 4)
    second.settle()
    assert second.read(nt.INDBELLSTS) == 4
    second.send_message(0, first.part, 3, 77)
    assert first.read(nt.INMSG0 + 12) == 77


def test_killed_peer_is_link_down_and_its_successor_joins(bench: Bench) -> None:
    a, b = bench.start_pair()
    for port in (a, b):
        port.init_link_events()
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    a.set_window(0x100000)
    eventually(a.window_open, "the window")
    a.quiet()
    b.qemu.kill()
    eventually(lambda: not a.sees_port(b), "the death of the peer to be seen")
    assert not a.link_up(b)
    assert a.read(nt.NTINTSTS) == nt.SEVENT
    assert a.gasa_read(nt.SELINKDNSTS) == 1 << 2
    assert not a.window_open()
    assert a.qemu.read(a.bar2, 8) == 2**64 - 1
    a.write(nt.OUTDBELLSET, 1)
    a.send_message(0, 1, 0, 5)
    assert a.read(nt.MSGSTS) == 1
    bench.ram(1).unlink()
    b = bench.start(1)
    b.link_enable()
    a.settle()
    assert a.link_up(b)
    assert a.window_open()
    a.qemu.write(a.bar2, 0x12345678)
    assert b.qemu.read(0x100000) == 0x12345678
    assert b.read(nt.INDBELLSTS) == 0


def test_links_survive_the_server(bench: Bench) -> None:
    a, b = bench.start_pair()
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    bench.switch.kill()
    eventually(lambda: a.stat("flags") & 4 and b.stat("flags") & 4, "the loss to be noticed")
    a.write(nt.OUTDBELLSET, 8)
    b.settle()
    assert b.read(nt.INDBELLSTS) == 8
    assert a.link_up(b)
    b.qemu.kill()
    eventually(lambda: not a.link_up(b), "the death of the peer to be seen")


def test_server_that_leaves_softly_breaks_no_link(bench: Bench) -> None:
    a, b = bench.start_pair()
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    bench.switch.process.terminate()
    eventually(lambda: a.stat("flags") & 4 and b.stat("flags") & 4, "the loss to be noticed")
    a.write(nt.OUTDBELLSET, 8)
    b.settle()
    assert b.read(nt.INDBELLSTS) == 8
    assert a.link_up(b)
    assert b.link_up(a)


def test_orderly_exit_is_link_down(bench: Bench) -> None:
    a, b = bench.start_pair()
    b.qemu.stop()
    eventually(lambda: not a.sees_port(b), "the exit of the peer to be seen")


@pytest.mark.parametrize("vectors", [1, 2, 3, 16])
def test_any_number_of_vectors(new_bench: Callable[..., Bench], vectors: int) -> None:
    a, b = new_bench(vectors=vectors).start_pair()
    a.write(nt.OUTDBELLSET, 3)
    b.settle()
    assert b.read(nt.INDBELLSTS) == 3


def test_block_that_outlived_its_owner(bench: Bench) -> None:
    """The page says that partition 1 is attached, but nobody holds its lock."""
    a = bench.start(0)
    a.link_enable()
    levels = {"linkup": 1, "admits": 1, "ntctl": nt.CPEN, "incarnation": 5, "state": 2}
    for name, value in levels.items():
        a.page.put(1, name, value)
    a.page.put(0, "kick_pending", 1)  # taken back when the port has looked
    bench.switch.visit()
    a.settle()
    assert a.gasa_read(nt.SWPORTSTS + 0x40) == 0x4C0
    assert a.gasa_read(nt.image_address(2, nt.NTCTL)) == 0
    a.send_message(0, 1, 0, 1)
    assert a.read(nt.MSGSTS) == 1


def test_successor_quicker_than_the_news_of_the_death(bench: Bench) -> None:
    """The first port learns of the old owner's end from the new one's arrival."""
    a, b = bench.start_pair()
    for port in (a, b):
        port.init_link_events()
        port.link_enable()
    a.settle()
    a.quiet()
    a.page.put(1, "incarnation", 99)
    b.write(nt.OUTDBELLSET, 1)
    a.settle()
    assert a.gasa_read(nt.SELINKDNSTS) == 1 << 2
    assert a.read(nt.NTINTSTS) & nt.SEVENT


LOCK_PORT1 = 0x101


def silent_owner(bench: Bench) -> None:
    """Attach partition 1 as a process that has not come to kick anybody yet."""
    fd = os.open(bench.switch.shm, os.O_RDWR)
    bench.stack.callback(os.close, fd)
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, LOCK_PORT1, 1, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
    levels = {"linkup": 1, "admits": 1, "ntctl": nt.CPEN, "incarnation": 5, "state": 2}
    for name, value in levels.items():
        bench.page.put(1, name, value)


def test_closing_waits_for_a_port_that_has_just_attached(bench: Bench) -> None:
    """It may have opened a window before its kick was served."""
    a = bench.start(0)
    a.link_enable()
    silent_owner(bench)
    a.write(nt.NTCTL, 0)
    assert a.stat("quiesce_timeouts") == 1


def test_signal_reaches_a_port_that_has_just_attached(bench: Bench) -> None:
    a = bench.start(0)
    silent_owner(bench)
    a.write(nt.NTGSIGNAL, 1)
    assert a.page.get(1, "ev_gsig") == 1
