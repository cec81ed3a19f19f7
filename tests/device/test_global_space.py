# SPDX-License-Identifier: MIT
"""The switch's global address space behind GASAADDR and GASADATA."""

from __future__ import annotations

import pytest

from tests.device import port as nt
from tests.device.port import Port, image_address

Pair = tuple[Port, Port]

UNCONFIGURED_PORTS = [p for p in range(24) if p not in nt.PORTS]
EVENT_MASKS = [nt.SEMSK, nt.SEPMSK, nt.SELINKUPMSK, nt.SELINKDNMSK, nt.SEGSIGMSK]


def test_own_image_is_bar0(pair: Pair) -> None:
    for port in pair:
        port.write(nt.NTSDATA, 0x11110000 + port.part)
        for offset in (0x0, 0x4C, 0x50, nt.NTSDATA, nt.NTINTMSK, nt.BARSETUP0, nt.BARSETUP2):
            assert port.gasa_read(image_address(port.number, offset)) == port.read(offset)
        port.gasa_write(image_address(port.number, nt.NTSDATA), 0x77)
        assert port.read(nt.NTSDATA) == 0x77


def test_the_space_is_not_reachable_through_itself(pair: Pair) -> None:
    a, _ = pair
    for offset in (nt.GASAADDR, nt.GASADATA):
        a.gasa_write(image_address(0, offset), nt.ALL_ONES)
        assert a.gasa_read(image_address(0, offset)) == 0


def test_peer_image_shows_levels_and_windows(linked: Pair) -> None:
    a, b = linked
    assert a.gasa_read(image_address(2, nt.PCI_COMMAND)) == 0x6
    assert a.gasa_read(image_address(2, 0x50)) == 0x00420000
    assert a.gasa_read(image_address(2, 0x4C)) == 0x02000000
    assert a.gasa_read(image_address(2, nt.NTCTL)) == nt.CPEN
    assert a.gasa_read(image_address(2, nt.BARSETUP0)) == 0x800004C0
    b.set_window(0x100000, part=5)
    assert a.gasa_read(image_address(2, nt.BARSETUP2)) == 0x8000A15C
    assert a.gasa_read(image_address(2, nt.BARLTBASE2)) == 0x100000


@pytest.mark.parametrize(
    "offset", [nt.PCI_COMMAND, nt.NTCTL, nt.NTSDATA, nt.INDBELLMSK, nt.BARSETUP2, nt.OUTDBELLSET]
)
def test_writes_to_a_peer_are_ignored(linked: Pair, offset: int) -> None:
    a, b = linked
    registers = (nt.PCI_COMMAND, *range(0x400, 0x500, 4))
    before = [[port.read(register) for register in registers] for port in linked]
    a.gasa_write(image_address(2, offset), nt.ALL_ONES)
    b.settle()
    assert [[port.read(register) for register in registers] for port in linked] == before


def test_ports_and_partitions(pair: Pair) -> None:
    for port in pair:
        assert port.gasa_read(nt.SWPORTSTS) == 0x0D0
        assert port.gasa_read(nt.SWPORTSTS + 0x20 * 2) == 0x4D0
        assert port.gasa_read(nt.SWPARTSTS) == 0x4120
        assert port.gasa_read(nt.SWPARTSTS + 0x20) == 0x4520
        for control in (nt.SWPORTSTS - 4, nt.SWPARTSTS - 4, 0x3E000, 0x3E004):
            port.gasa_write(control, nt.ALL_ONES)
            assert port.gasa_read(control) == 0


@pytest.mark.parametrize("port_number", UNCONFIGURED_PORTS)
def test_unconfigured_ports(pair: Pair, port_number: int) -> None:
    a, _ = pair
    assert a.gasa_read(nt.SWPORTSTS + 0x20 * port_number) == 0
    assert a.gasa_read(image_address(port_number, 0)) == 0
    assert a.gasa_read(image_address(port_number, nt.BARSETUP0)) == 0


def test_unconfigured_partitions(pair: Pair) -> None:
    a, _ = pair
    assert [a.gasa_read(nt.SWPARTSTS + 0x20 * part) for part in range(2, 8)] == [0] * 6


def test_event_masks_reset_to_all_ones_and_are_banked(pair: Pair) -> None:
    a, b = pair
    for address in EVENT_MASKS:
        assert a.gasa_read(address) == nt.ALL_ONES
        a.gasa_write(address, 0x12345678)
        assert a.gasa_read(address) == 0x12345678
        assert b.gasa_read(address) == nt.ALL_ONES


def test_reset_and_failover_events_never_come(pair: Pair) -> None:
    a, b = pair
    for status in (0x3EC1C, 0x3EC24):
        a.gasa_write(status, nt.ALL_ONES)
        assert a.gasa_read(status) == 0
    for mask in (0x3EC20, 0x3EC28, 0x3EC2C):
        assert a.gasa_read(mask) == nt.ALL_ONES
        a.gasa_write(mask, 0x5)
        assert a.gasa_read(mask) == 0x5
        assert b.gasa_read(mask) == nt.ALL_ONES


def test_protection_registers_read_zero(pair: Pair) -> None:
    a, _ = pair
    for address in (0x3E700, *range(0x3E710, 0x3E730, 4)):
        a.gasa_write(address, nt.ALL_ONES)
        assert a.gasa_read(address) == 0


def test_message_routes_are_writable_by_their_owner(pair: Pair) -> None:
    a, b = pair
    for m in range(4):
        own, foreign = nt.SWPMSGCTL + 0x20 * m, nt.SWPMSGCTL + 0x20 * m + 4
        a.gasa_write(own, nt.ALL_ONES)
        assert a.gasa_read(own) == 0x73
        a.gasa_write(foreign, 0x10 + m)
        assert a.gasa_read(foreign) == 0
        b.gasa_write(foreign, 0x10 + m)
        assert a.gasa_read(foreign) == 0x10 + m
        assert a.gasa_read(nt.SWPMSGCTL + 0x20 * m + 8) == 0


def test_global_doorbell_status(linked: Pair) -> None:
    a, b = linked
    a.write(nt.OUTDBELLSET, 0x0F)
    b.write(nt.OUTDBELLSET, 0xF0)
    for port in linked:
        port.settle()
        assert port.gasa_read(nt.GDBELLSTS) == 0xFF


def test_doorbell_routing_masks(pair: Pair) -> None:
    for port in pair:
        assert port.gasa_read(0x3ED00) == 0xFC
        assert port.gasa_read(0x3ED80 + 4 * 31) == 0xFC | 1 << port.part
        port.gasa_write(0x3ED80, 0)
        assert port.gasa_read(0x3ED80) == 0xFC | 1 << port.part


def test_addresses_wrap_at_18_bits_and_are_aligned(pair: Pair) -> None:
    a, _ = pair
    a.write(nt.GASAADDR, 0xFFFC0000 | nt.SEMSK | 3)
    assert a.read(nt.GASAADDR) == nt.SEMSK
    assert a.read(nt.GASADATA) == nt.ALL_ONES
