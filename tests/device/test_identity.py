# SPDX-License-Identifier: MIT
"""PCI identity, capabilities, and how registers are reached."""

from __future__ import annotations

import pytest

from tests.device import port as nt
from tests.device.port import Port

Pair = tuple[Port, Port]


def capabilities(port: Port) -> dict[int, int]:
    """Capability id -> offset"""
    found: dict[int, int] = {}
    offset = port.cfg_read(0x34, 1)
    while offset and offset not in found.values():
        found[port.cfg_read(offset, 1)] = offset
        offset = port.cfg_read(offset + 1, 1)
    return found


def test_identity(pair: Pair) -> None:
    for port in pair:
        assert port.cfg_read(0x00) == 0x8091111D
        assert port.cfg_read(0x08) >> 8 == 0x068000
        assert port.cfg_read(0x0E, 1) == 0  # header type
        assert port.cfg_read(0x3D, 1) == 1  # INTA


def test_capabilities_are_where_the_driver_expects_them(pair: Pair) -> None:
    assert capabilities(pair[0]) == {0x10: 0x40, 0x01: 0xC0, 0x05: 0xD0}
    assert pair[0].cfg_read(0x100) & 0xFFFF == 0x0001  # AER
    control = pair[0].cfg_read(0xD2, 2)
    assert control & 0x80  # 64-bit MSI addresses
    assert not control & 0x10E  # one vector, no per-vector mask


def test_link_capabilities_tell_the_port_number(pair: Pair) -> None:
    assert [port.cfg_read(0x4C) >> 24 for port in pair] == [0, 2]
    assert [port.read(0x4C) >> 24 for port in pair] == [0, 2]
    for port in pair:
        assert port.cfg_read(0x50) == 0x00420000  # x4, 5 GT/s


def test_bars(pair: Pair) -> None:
    a, _ = pair
    a.cfg_write(nt.PCI_COMMAND, 0, 2)
    sizes = []
    for bar in range(6):
        a.cfg_write(0x10 + 4 * bar, nt.ALL_ONES)
        sizes.append(a.cfg_read(0x10 + 4 * bar))
    assert sizes == [0xFFFFF000, 0, 0xFFE0000C, 0xFFFFFFFF, 0xFE00000C, 0xFFFFFFFF]


def test_barsetup0_by_configuration_space(pair: Pair) -> None:
    for port in pair:
        assert port.cfg_read(nt.BARSETUP0) == 0x800004C0


@pytest.mark.parametrize("offset", [0x400, 0x408, 0x42C, 0x470, 0x490, 0x4D0])
def test_configuration_space_and_bar0_show_the_same(pair: Pair, offset: int) -> None:
    a, _ = pair
    assert a.cfg_read(offset) == a.read(offset)


def test_bar0_shows_the_standard_header(pair: Pair) -> None:
    a, _ = pair
    assert a.read(0x00) == 0x8091111D
    assert a.read(nt.PCI_COMMAND) & 0xFFFF == nt.COMMAND_MEMORY | nt.COMMAND_MASTER
    a.write(nt.PCI_COMMAND, nt.COMMAND_MEMORY)
    assert a.cfg_read(nt.PCI_COMMAND, 2) == nt.COMMAND_MEMORY


@pytest.mark.parametrize("size", [1, 2])
def test_configuration_space_answers_narrow_reads(pair: Pair, size: int) -> None:
    a, _ = pair
    a.write(nt.NTSDATA, 0x44332211)
    got = [a.cfg_read(nt.NTSDATA + at, size) for at in range(0, 4, size)]
    assert got == ([0x11, 0x22, 0x33, 0x44] if size == 1 else [0x2211, 0x4433])


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (1, 1), (3, 1), (0, 2), (2, 2)])
def test_narrow_configuration_writes_are_ignored(pair: Pair, offset: int, size: int) -> None:
    a, _ = pair
    a.write(nt.NTSDATA, 0x44332211)
    a.cfg_write(nt.NTSDATA + offset, 0xEEEE & (1 << 8 * size) - 1, size)
    assert a.read(nt.NTSDATA) == 0x44332211


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (2, 1), (0, 2), (2, 2), (1, 2), (2, 4)])
def test_narrow_and_unaligned_bar0_writes_are_ignored(pair: Pair, offset: int, size: int) -> None:
    a, _ = pair
    a.write(nt.NTSDATA, 0x44332211)
    a.write(nt.NTSDATA + offset, 0xEEEEEEEE & (1 << 8 * size) - 1, size)
    assert a.read(nt.NTSDATA) == 0x44332211
    assert a.read(nt.NTGSIGNAL) == 0


def test_wide_bar0_access_does_no_harm(pair: Pair) -> None:
    a, _ = pair
    a.write(nt.NTSDATA, 0x44332211)
    a.read(nt.NTSDATA, 8)
    assert a.read(nt.NTSDATA) == 0x44332211


def test_configuration_read_across_registers(pair: Pair) -> None:
    a, _ = pair
    a.write(nt.NTSDATA, 0x44332211)
    assert a.cfg_read(nt.NTSDATA + 3, 1) == 0x44
    assert a.cfg_read(nt.NTSDATA + 2, 4) & 0xFFFF == 0x4433
    assert a.cfg_read(0xFFF, 1) == 0


def test_power_state_keeps_registers(pair: Pair) -> None:
    a, _ = pair
    a.write(nt.NTSDATA, 7)
    a.cfg_write(0xC4, 3, 2)  # D3hot: BARs do not decode
    assert a.read(nt.NTSDATA) != 7
    a.cfg_write(0xC4, 0, 2)
    assert a.read(nt.NTSDATA) == 7
