# SPDX-License-Identifier: MIT
"""Doorbells and the interrupts they raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.device import port as nt
from tests.device.port import Port

if TYPE_CHECKING:
    from tests.device.conftest import Bench

Pair = tuple[Port, Port]


def ring(sender: Port, receiver: Port, bits: int) -> None:
    sender.write(nt.OUTDBELLSET, bits)
    receiver.settle()


def test_bits_accumulate_and_are_cleared_one_by_one(linked: Pair) -> None:
    a, b = linked
    for bit in range(32):
        ring(a, b, 1 << bit)
        assert b.read(nt.INDBELLSTS) == (2 << bit) - 1
    b.write(nt.INDBELLSTS, 0x0F0F0F0F)
    assert b.read(nt.INDBELLSTS) == 0xF0F0F0F0
    b.write(nt.INDBELLSTS, 0)
    assert b.read(nt.INDBELLSTS) == 0xF0F0F0F0
    b.write(nt.INDBELLSTS, nt.ALL_ONES)
    assert b.read(nt.INDBELLSTS) == 0


def test_sender_hears_nothing(linked: Pair) -> None:
    a, b = linked
    ring(a, b, 0xFF)
    assert a.read(nt.INDBELLSTS) == 0
    assert a.read(nt.NTINTSTS) == 0
    assert a.take_msi() == 0


def test_zero_rings_nothing(linked: Pair) -> None:
    a, b = linked
    kicks = a.stat("kicks")
    ring(a, b, 0)
    assert b.read(nt.INDBELLSTS) == 0
    assert a.stat("kicks") == kicks


def test_loopback_returns_doorbells_to_their_sender(bench: Bench) -> None:
    a, b = bench.start_pair(db_loopback="on")
    a.enable_msi(0x77)
    a.write(nt.NTINTMSK, 0)
    ring(a, b, 0x81)
    assert a.read(nt.INDBELLSTS) == 0x81
    assert b.read(nt.INDBELLSTS) == 0x81
    assert a.take_msi() == 0x77
    assert a.gasa_read(0x3ED80) == 0xFC


def test_one_interrupt_until_the_cause_is_gone(linked: Pair) -> None:
    a, b = linked
    count = b.stat("msi")
    ring(a, b, 1)
    assert b.read(nt.NTINTSTS) == nt.DBELL
    assert b.take_msi() == 0x4321
    ring(a, b, 1)
    ring(a, b, 2)
    assert b.take_msi() == 0
    b.write(nt.INDBELLSTS, 1)
    assert b.take_msi() == 0
    assert b.read(nt.NTINTSTS) == nt.DBELL
    b.write(nt.INDBELLSTS, 2)
    assert b.read(nt.NTINTSTS) == 0
    ring(a, b, 1)
    assert b.take_msi() == 0x4321
    assert b.stat("msi") == count + 2


def test_status_register_is_not_masked(linked: Pair) -> None:
    a, b = linked
    b.write(nt.NTINTMSK, nt.INT_ALL)
    ring(a, b, 1)
    assert b.read(nt.NTINTSTS) == nt.DBELL
    assert b.take_msi() == 0


@pytest.mark.parametrize(
    ("register", "masked", "unmasked"),
    [(nt.INDBELLMSK, 0x10, 0), (nt.INDBELLMSK, nt.ALL_ONES, 0xF), (nt.NTINTMSK, 0xBB, 0xB0)],
)
def test_unmasking_a_pending_doorbell_fires_once(
    linked: Pair, register: int, masked: int, unmasked: int
) -> None:
    a, b = linked
    b.write(register, masked)
    ring(a, b, 0x10)
    assert b.read(nt.INDBELLSTS) == 0x10
    assert b.take_msi() == 0
    b.write(register, unmasked)
    assert b.take_msi() == 0x4321
    b.write(register, unmasked)
    assert b.take_msi() == 0
    b.write(register, masked)
    b.write(register, unmasked)
    assert b.take_msi() == 0x4321


def test_masks_count_per_bit(linked: Pair) -> None:
    a, b = linked
    b.write(nt.INDBELLMSK, ~0x4 & nt.ALL_ONES)
    ring(a, b, ~0x4 & nt.ALL_ONES)
    assert b.read(nt.NTINTSTS) == 0
    ring(a, b, 0x4)
    assert b.read(nt.NTINTSTS) == nt.DBELL
    assert b.take_msi() == 0x4321


def test_masks_are_the_receivers_own(linked: Pair) -> None:
    a, b = linked
    a.write(nt.INDBELLMSK, nt.ALL_ONES)
    ring(a, b, 1)
    assert b.take_msi() == 0x4321
    ring(b, a, 1)
    assert a.take_msi() == 0
    assert a.read(nt.INDBELLSTS) == 1


def test_pending_message_does_not_hide_a_doorbell(linked: Pair) -> None:
    a, b = linked
    a.send_message(0, 1, 0, 5)
    b.settle()
    assert b.read(nt.NTINTSTS) == nt.MSG
    assert b.take_msi() == 0x4321
    ring(a, b, 1)
    assert b.read(nt.NTINTSTS) == nt.MSG | nt.DBELL
    assert b.take_msi() == 0x4321
    b.write(nt.INDBELLSTS, 1)
    ring(a, b, 1)
    assert b.take_msi() == 0x4321


def test_without_msi_there_is_intx_and_no_write_to_address_0(pair: Pair) -> None:
    a, b = pair
    b.init_link_events()
    guard = b"\x5a" * 64
    b.qemu.write_bytes(0, guard)
    assert not b.intx()
    ring(a, b, 1)
    assert b.intx()
    b.write(nt.NTINTMSK, nt.INT_ALL)
    assert not b.intx()
    b.write(nt.NTINTMSK, 0)
    assert b.intx()
    a.send_message(0, 1, 0, 5)
    b.settle()
    b.write(nt.INDBELLSTS, 1)
    assert b.intx()
    b.write(nt.MSGSTS, nt.ALL_ONES)
    assert not b.intx()
    assert b.qemu.read_bytes(0, len(guard)) == guard


def test_switching_to_msi_moves_the_interrupt(pair: Pair) -> None:
    a, b = pair
    b.write(nt.NTINTMSK, 0)
    ring(a, b, 1)
    assert b.intx()
    b.enable_msi(0x55)
    assert b.take_msi() == 0x55
    assert not b.intx()
    b.cfg_write(nt.MSI_CAP + 2, 0, 2)
    assert b.intx()


def test_msi_waits_for_bus_mastering(pair: Pair) -> None:
    a, b = pair
    b.write(nt.NTINTMSK, 0)
    b.enable_msi(0x55)
    b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY, 2)
    ring(a, b, 1)
    assert b.take_msi() == 0
    b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY | nt.COMMAND_MASTER, 2)
    assert b.take_msi() == 0x55


def test_what_is_disabled_is_not_counted(pair: Pair) -> None:
    """Nor is it lost: it is sent, and counted, once it may be."""
    a, b = pair
    b.write(nt.NTINTMSK, 0)
    before = b.stat("msi")
    enabled = nt.COMMAND_MEMORY | nt.COMMAND_MASTER
    b.cfg_write(nt.PCI_COMMAND, enabled | nt.COMMAND_INTX_DISABLE, 2)
    for bit in range(4):
        ring(a, b, 1 << bit)
        b.write(nt.INDBELLSTS, nt.ALL_ONES)
    ring(a, b, 1)
    assert b.stat("msi") == before
    b.cfg_write(nt.PCI_COMMAND, enabled, 2)
    assert b.intx()
    assert b.stat("msi") == before + 1
    b.cfg_write(nt.PCI_COMMAND, enabled | nt.COMMAND_INTX_DISABLE, 2)
    b.enable_msi(0x55)
    b.cfg_write(nt.MSI_CAP + 2, 0, 2)
    assert b.stat("msi") == before + 2
    b.write(nt.INDBELLSTS, nt.ALL_ONES)
    ring(a, b, 1)
    assert b.stat("msi") == before + 2


def test_the_page_tells_what_msi_is_set_to(pair: Pair) -> None:
    _, b = pair
    control = b.cfg_read(nt.MSI_CAP + 2, 2)
    assert b.page.get(1, "msi_ctl") == control
    assert not control & nt.MSI_ENABLE
    b.enable_msi(0x55)
    assert b.page.get(1, "msi_ctl") == control | nt.MSI_ENABLE
    assert b.page.get(1, "msi_addr") == b.msi_address
    assert b.page.get(1, "msi_data") == 0x55
    b.reset()
    b.setup()
    assert b.page.get(1, "msi_ctl") == control
    assert b.page.get(1, "msi_addr") == 0


def test_msi_aimed_at_the_device_itself_does_no_harm(pair: Pair) -> None:
    a, b = pair
    for register in (nt.OUTDBELLSET, nt.INDBELLSTS, nt.NTINTMSK, nt.NTCTL, nt.NTGSIGNAL):
        b.msi_address = b.bar0 + register
        b.enable_msi(1)
        b.write(nt.NTINTMSK, 0)
        ring(a, b, 1)
        b.msi_address = b.config + register
        b.enable_msi(1)
        b.write(nt.NTINTMSK, nt.INT_ALL)
        b.write(nt.NTINTMSK, 0)
        b.write(nt.INDBELLSTS, nt.ALL_ONES)
    assert a.qemu.alive()
    assert b.qemu.alive()


def test_doorbells_to_a_port_in_reset_are_lost(linked: Pair) -> None:
    a, b = linked
    ring(a, b, 3)
    b.reset()
    b.setup()
    assert b.read(nt.INDBELLSTS) == 0
    a.settle()
    ring(a, b, 4)
    assert b.read(nt.INDBELLSTS) == 4


def test_doorbells_before_the_peer_exists(bench: Bench) -> None:
    a = bench.start(0)
    a.write(nt.OUTDBELLSET, 0xFF)
    b = bench.start(1)
    assert b.read(nt.INDBELLSTS) == 0


def test_statistics(linked: Pair) -> None:
    a, b = linked
    names = ("db_tx", "kicks", "db_rx")
    before = a.stat("db_tx"), a.stat("kicks"), b.stat("db_rx")
    for bit in range(8):
        ring(a, b, 1 << bit)
    after = a.stat("db_tx"), a.stat("kicks"), b.stat("db_rx")
    assert dict(zip(names, after, strict=True)) == {
        name: count + 8 for name, count in zip(names, before, strict=True)
    }


def test_a_pending_kick_is_not_repeated(linked: Pair) -> None:
    a, b = linked
    b.page.put(1, "kick_pending", 1)
    kicks = a.stat("kicks")
    for bit in range(32):
        a.write(nt.OUTDBELLSET, 1 << bit)
    assert a.stat("kicks") == kicks
    assert b.read(nt.INDBELLSTS) == nt.ALL_ONES
    b.page.put(1, "kick_pending", 0)


def test_two_ports_in_one_qemu(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    a = bench.start(0, extra_port=1)
    b = Port(a.qemu, a.page, 1, slot=2)
    b.setup()
    for port in (a, b):
        port.enable_msi()
        port.init_link_events()
    for port in (a, b):
        port.link_enable()
    a.settle()
    b.settle()
    assert a.link_up(b)
    assert b.link_up(a)
    for port in (a, b):
        port.quiet()
    ring(a, b, 6)
    assert b.read(nt.INDBELLSTS) == 6
    assert b.take_msi() == 0x4321
    timeouts = a.stat("quiesce_timeouts")
    a.set_window(0x300000)
    assert a.window_open()
    a.qemu.write(a.bar2 + 8, 0xABCD)
    assert a.qemu.read(0x300008) == 0xABCD
    b.link_disable()
    assert not a.window_open()
    assert b.stat("quiesce_timeouts") == timeouts
    a.qemu.stop()
