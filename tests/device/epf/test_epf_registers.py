# SPDX-License-Identifier: MIT
"""Page 0: what keeps a write, what ignores it, and that nobody pays for a read."""

from __future__ import annotations

import pytest

from tests.device.epf import support as epf
from tests.device.epf.support import EpfPort

Pair = tuple[EpfPort, EpfPort]

KEPT = (epf.ARGUMENT, epf.LOWER_ADDR, epf.UPPER_ADDR, epf.LOWER_SIZE, epf.UPPER_SIZE)
CONSTANT = (
    *(epf.TOPOLOGY, epf.MW_COUNT, epf.MW1_OFFSET, epf.SPAD_OFFSET, epf.SPAD_COUNT),
    *(epf.DB_ENTRY_SIZE, epf.DB_DATA, epf.DB_DATA + 124, epf.DB_OFFSET, epf.DB_OFFSET + 124),
    *(0x134, 0x800, 0xFFC),
)


@pytest.mark.parametrize("register", KEPT)
def test_words_that_are_kept(pair: Pair, register: int) -> None:
    a, b = pair
    a.write(register, 0x89ABCDEF)
    assert a.read(register) == 0x89ABCDEF
    assert a.read(register, 2) == 0xCDEF
    assert a.read(register + 3, 1) == 0x89
    assert b.read(register) == 0


@pytest.mark.parametrize("register", CONSTANT)
def test_words_that_are_not(pair: Pair, register: int) -> None:
    a, _ = pair
    before = a.read(register)
    a.write(register, ~before & 0xFFFFFFFF)
    assert a.read(register) == before


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("register", KEPT)
def test_parts_of_a_word_are_ignored(pair: Pair, register: int, size: int) -> None:
    a, _ = pair
    a.write(register, 0x11111111)
    for offset in range(0, 4, size):
        a.write(register + offset, 0xFFFF, size)
    a.write(register + 2, 0xFFFFFFFF)  # not aligned; reaches into the next one
    assert a.read(register) == 0x11111111


def test_the_status_is_written_by_half_words(pair: Pair) -> None:
    a, _ = pair
    a.write(epf.CMD_STATUS, 0x5A5A, 2)
    assert a.read(epf.CMD_STATUS, 2) == 0x5A5A
    a.write(epf.CMD_STATUS, 0)  # the whole word, the link's status with it
    a.write(epf.CMD_STATUS, 0, 1)
    assert a.read(epf.CMD_STATUS, 2) == 0x5A5A
    a.write(epf.CMD_STATUS, 0, 2)
    assert a.read(epf.CMD_STATUS, 2) == 0


def test_the_links_status_is_read_only(pair: Pair) -> None:
    a, _ = pair
    a.write(epf.LINK_STATUS, 1, 2)
    a.write(epf.LINK_STATUS, 1, 1)
    assert a.read(epf.LINK_STATUS, 2) == 0
    assert not a.link_up()


@pytest.mark.parametrize("size", [1, 2])
def test_a_command_is_a_whole_word(pair: Pair, size: int) -> None:
    a, _ = pair
    commands = a.stat("commands")
    a.write(epf.COMMAND, epf.LINK_UP, size)
    assert a.status() == 0
    assert a.stat("commands") == commands
    assert a.read(epf.COMMAND) == 0


def test_the_page_shows_tools_what_the_guest_reads(pair: Pair) -> None:
    a, _ = pair
    a.stage(0x1_2345_6000, 0x7_0000_1000)
    assert a.command(epf.CONFIGURE_MW, 1) == epf.ERROR
    words = ("command", "argument", "lower_addr", "upper_addr", "lower_size", "upper_size")
    assert [a.stat(name) for name in words] == [3, 1, 0x2345_6000, 1, 0x1000, 7]
    a.write(epf.CMD_STATUS, 0x1234, 2)
    assert a.stat("status") == 0x1234
    assert a.stat("spad_count") == 32


def test_reads_do_not_trap(new_bench) -> None:
    """The page is memory to the processor: QEMU's own record of accesses has none of them."""
    bench = new_bench()
    a = bench.start_argv([*bench.argv(0), "-trace", "memory_region_ops_read"], 0)
    for register in range(0, 0x134, 4):
        a.read(register)
    a.read(epf.LINK_STATUS, 2)
    assert "ntb-epf-regs" not in a.qemu.log_text()
    a.spad(3)
    assert a.qemu.log_text().count("ntb-epf-spad") == 1
