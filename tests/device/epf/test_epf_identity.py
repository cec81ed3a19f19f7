# SPDX-License-Identifier: MIT
"""What the function is to PCI, and what its registers read before anybody writes."""

from __future__ import annotations

import pytest

from tests.device.epf import support as epf
from tests.device.epf.support import EpfPort
from tests.device.function import ALL_ONES

Pair = tuple[EpfPort, EpfPort]

BARS = {0x10: 0x4000, 0x14: 0, 0x18: 0x1000, 0x1C: 0, 0x20: 2 << 20, 0x24: 2 << 20}
"""Offset in configuration space, and size."""
PREFETCHABLE = {0x20, 0x24}

RESET = {
    epf.COMMAND: 0,
    epf.ARGUMENT: 0,
    epf.CMD_STATUS: 0,
    epf.TOPOLOGY: 0,
    epf.LOWER_ADDR: 0,
    epf.UPPER_ADDR: 0,
    epf.LOWER_SIZE: 0,
    epf.UPPER_SIZE: 0,
    epf.MW_COUNT: 2,
    epf.MW1_OFFSET: 0,
    epf.SPAD_OFFSET: 0x1000,
    epf.SPAD_COUNT: 32,
    epf.DB_ENTRY_SIZE: 4,
    **{epf.DB_DATA + 4 * n: 1 << n for n in range(32)},
    **{epf.DB_OFFSET + 4 * n: 0 for n in range(32)},
}


def test_ids(pair: Pair) -> None:
    a, _ = pair
    assert a.cfg_read(0) == epf.DEVICE << 16 | epf.VENDOR
    assert a.cfg_read(0x8) >> 16 == 0x0500, "class: RAM, as the driver's table wants it"
    assert a.cfg_read(0xE, 1) == 0
    assert a.cfg_read(0x3D, 1) == 1, "interrupt pin A"


def test_bars(pair: Pair) -> None:
    a, _ = pair
    for offset, size in BARS.items():
        before = a.cfg_read(offset)
        assert before & 0xF == (0x8 if offset in PREFETCHABLE else 0), "32 bits wide"
        a.cfg_write(offset, ALL_ONES)
        assert -(a.cfg_read(offset) & ~0xF) & ALL_ONES == size
        a.cfg_write(offset, before)
        a.settle()
        bar = (offset - 0x10) // 4
        shown = a.page.get_all(a.part, "bar_addr")[bar]
        assert shown == (before & ~0xF if size else 2**64 - 1)


def test_capabilities(pair: Pair) -> None:
    a, _ = pair
    assert a.cfg_read(epf.MSIX_CAP, 1) == 0x11
    assert a.cfg_read(epf.MSIX_CAP + 2, 2) & 0x7FF == a.vectors - 1
    assert a.cfg_read(epf.MSIX_CAP + 4) == epf.MSIX_TABLE
    assert a.cfg_read(epf.MSIX_CAP + 8) == epf.MSIX_PBA
    found, at = set(), a.cfg_read(0x34, 1)
    while at:
        found.add(a.cfg_read(at, 1))
        at = a.cfg_read(at + 1, 1)
    assert found == {0x01, 0x10, 0x11}, "power management, PCI Express, MSI-X; no MSI"


@pytest.mark.parametrize("register", RESET)
def test_reset_values(pair: Pair, register: int) -> None:
    for port in pair:
        assert port.read(register) == RESET[register]


def test_the_rest_of_the_page_reads_zero(pair: Pair) -> None:
    a, _ = pair
    data = a.qemu.read_bytes(a.bar0, 0x1000)
    for register, value in RESET.items():
        assert data[register : register + 4] == value.to_bytes(4, "little")
    assert not any(data[epf.DB_OFFSET :])


def test_scratchpads_follow_their_property(new_bench) -> None:
    a = new_bench().start(0, spads=64, msix_vectors=32)
    assert a.read(epf.SPAD_COUNT) == 64
    assert a.cfg_read(epf.MSIX_CAP + 2, 2) & 0x7FF == 31
    a.set_spad(63, 7)
    assert a.spad(63) == 7
    assert a.page.get_all(0, "spad")[63] == 7


def test_sizes_follow_their_properties(new_bench) -> None:
    a = new_bench().start(0, mw0_size="64K", mw1_size="64M")
    for offset, size in ((0x20, 64 << 10), (0x24, 64 << 20)):
        a.cfg_write(offset, ALL_ONES)
        assert -(a.cfg_read(offset) & ~0xF) & ALL_ONES == size
