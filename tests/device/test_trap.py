# SPDX-License-Identifier: MIT
"""Windows, or parts of them, that are no whole pages: the device copies each access."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.device import port as nt
from tests.device.conftest import RAM_SIZE, Bench
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE
from tests.device.test_window import Pair, assert_closed, assert_open, digest

TARGET = 0x1000000


@pytest.mark.parametrize("skew", [4, 8, 0x400, 0x800, 0xFFC])
def test_translations_within_a_page(linked: Pair, rams: tuple[Path, Path], skew: int) -> None:
    a, _ = linked
    a.set_window(TARGET + skew)
    assert a.window_open()
    assert a.window_trapped()
    for offset in (0, 4096 - 4, WINDOW_SIZE - 256):
        assert_open(a, rams[1], offset, TARGET + skew + offset, 256)


def test_lookup_table_entries_within_a_page(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    a.set_entry(11, TARGET + 12)
    assert a.stat("mw_open") == a.stat("mw_trapped") == 1 << 12
    assert_open(a, rams[1], a.bar4 - a.bar2 + 11 * WINDOW_SIZE + 100, TARGET + 112, 256)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("at", range(9))
def test_every_access(linked: Pair, width: int, at: int) -> None:
    """Each size at each alignment touches its bytes and no others."""
    a, b = linked
    a.set_window(TARGET + 4)
    b.qemu.write_bytes(TARGET, b"\xee" * 64)
    value = 0x8877665544332211 & (1 << 8 * width) - 1
    a.qemu.write_bytes(a.bar2 + at, value.to_bytes(width, "little"))
    around = b"\xee" * (4 + at) + value.to_bytes(width, "little")
    assert b.qemu.read_bytes(TARGET, 64) == around.ljust(64, b"\xee")
    assert a.qemu.read_bytes(a.bar2 + at, width) == value.to_bytes(width, "little")


def test_each_access_is_counted(linked: Pair) -> None:
    a, _ = linked
    a.set_window(TARGET + 4)
    traps = a.stat("win_trap")
    for _ in range(3):
        a.qemu.write(a.bar2, 1)
        a.qemu.read(a.bar2)
    assert a.stat("win_trap") == traps + 6


def test_accesses_over_the_end_of_ram(linked: Pair, rams: tuple[Path, Path]) -> None:
    """What lies behind the last byte reads as all-ones and takes nothing."""
    a, b = linked
    a.set_entry(0, RAM_SIZE - 4096 - 4)
    b.qemu.write_bytes(RAM_SIZE - 8, bytes(range(1, 9)))
    at = a.bar4 + 4096 + 4
    assert a.qemu.read(at - 4, 8) == 0xFFFFFFFF_08070605
    a.qemu.write(at - 4, 0x1122334455667788, 8)
    assert b.qemu.read_bytes(RAM_SIZE - 8, 8) == bytes([1, 2, 3, 4, 0x88, 0x77, 0x66, 0x55])
    assert rams[1].stat().st_size == RAM_SIZE


def test_tail_of_a_limit(linked: Pair, rams: tuple[Path, Path]) -> None:
    """Whole pages are mapped, the rest is copied, and behind the limit there is nothing."""
    a, _ = linked
    a.set_window(TARGET, 0x10000 + 0x400)
    assert a.window_trapped()
    traps = a.stat("win_trap")
    assert_open(a, rams[1], 0xF000, TARGET + 0xF000)
    assert a.stat("win_trap") == traps
    assert_open(a, rams[1], 0x10000, TARGET + 0x10000, 0x400)
    before = digest(rams[1])
    assert_closed(a, 0x10400, 0x1000)
    assert digest(rams[1]) == before
    # one access with its halves on both sides
    data = os.urandom(8)
    a.qemu.write_bytes(a.bar2 + 0x10400 - 4, data)
    assert a.qemu.read(a.bar2 + 0x10400 - 4, 8) == 0xFFFFFFFF << 32 | int.from_bytes(
        data[:4], "little"
    )


def test_closing_ends_copying(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, b = linked
    a.set_window(TARGET + 4)
    assert_open(a, rams[1], 0, TARGET + 4)
    before = digest(rams[1])
    b.write(nt.NTCTL, 0)
    assert_closed(a)
    assert not a.window_trapped()
    assert digest(rams[1]) == before


@pytest.mark.parametrize("target", [2**64 - 4, 2**64 - 4096 + 4, RAM_SIZE + 4, (1 << 40) + 4])
def test_nothing_wraps_around(linked: Pair, rams: tuple[Path, Path], target: int) -> None:
    a, _ = linked
    before = digest(rams[1])
    a.set_window(target)
    a.set_entry(0, target)
    assert a.stat("mw_open") == 0
    assert_closed(a)
    assert digest(rams[1]) == before


def test_a_truncated_ram_file_kills_nobody(bench: Bench) -> None:
    """Copying must not touch what is no longer in the file: that would be SIGBUS."""
    a, b = bench.start_pair()
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    a.set_window(TARGET + 4)
    assert_open(a, bench.ram(1), 0, TARGET + 4, 256)
    os.truncate(bench.ram(1), TARGET + 4096 + 16)
    a.qemu.write(a.bar2 + 4096 + 4, 0x0123456789ABCDEF, 8)
    assert a.qemu.read(a.bar2 + 4096 + 4, 8) == 0x0123456789ABCDEF
    # half of it is left, and a page that is gone
    assert a.qemu.read(a.bar2 + 4096 + 8, 8) == 0xFFFFFFFF_01234567
    a.qemu.write(a.bar2 + 4096 + 8, 0, 8)
    assert_closed(a, 8192, WINDOW_SIZE - 8192)
    assert bench.ram(1).stat().st_size == TARGET + 4096 + 16
    assert bench.ram(1).read_bytes()[TARGET + 4096 + 12 :] == bytes(4)
    os.truncate(bench.ram(1), RAM_SIZE)
    assert_open(a, bench.ram(1), 8192, TARGET + 8192 + 4, 256)
