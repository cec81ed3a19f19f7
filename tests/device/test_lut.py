# SPDX-License-Identifier: MIT
"""Windows of lookup tables: their registers, and where each entry leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.device import port as nt
from tests.device.conftest import RAM_SIZE, Bench
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE, Port
from tests.device.test_window import GATES, Pair, assert_open, digest

TARGET = 0x1000000
ENTRIES = 12


def entry_registers(port: Port, entry: int, bar: int = 4) -> list[int]:
    port.write(nt.LUTOFFSET, entry | bar << 8)
    return [port.read(register) for register in (nt.LUTLDATA, nt.LUTMDATA, nt.LUTUDATA)]


def assert_slot_closed(port: Port, slot: int, size: int = WINDOW_SIZE) -> None:
    at = port.bar4 + slot * size
    for offset in (0, size - 8):
        port.qemu.write(at + offset, 0x0123456789ABCDEF, 8)
        assert port.qemu.read(at + offset, 8) == 2**64 - 1


def test_every_entry_leads_where_it_says(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    for entry in range(ENTRIES):
        a.set_entry(entry, TARGET + entry * WINDOW_SIZE)
    assert a.stat("mw_open") == 0x1FFE
    assert a.stat("mw_trapped") == 0
    for entry in range(ENTRIES):
        here, there = a.bar4 - a.bar2 + entry * WINDOW_SIZE, TARGET + entry * WINDOW_SIZE
        assert_open(a, rams[1], here, there)
        assert_open(a, rams[1], here + WINDOW_SIZE - 4096, there + WINDOW_SIZE - 4096)
    before = digest(rams[1])
    for slot in range(ENTRIES, 16):  # space that no entry stands for
        assert_slot_closed(a, slot)
    assert digest(rams[1]) == before


def test_entries_close_one_by_one(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    for entry in (0, 5, 11):
        a.set_entry(entry, TARGET)
    before = digest(rams[1])
    a.clear_entry(5)
    assert a.stat("mw_open") == 1 << 1 | 1 << 12
    assert_slot_closed(a, 5)
    assert digest(rams[1]) == before
    assert_open(a, rams[1], a.bar4 - a.bar2, TARGET)


def test_only_the_last_word_takes_effect(linked: Pair, rams: tuple[Path, Path]) -> None:
    """The driver clears and sets word by word; half an address must never be used."""
    a, _ = linked
    a.set_entry(3, TARGET)
    a.write(nt.LUTLDATA, 0)
    a.write(nt.LUTMDATA, 0xFFFF)
    assert entry_registers(a, 3) == [TARGET, 0, nt.LUT_VALID | 1]
    assert_open(a, rams[1], a.bar4 - a.bar2 + 3 * WINDOW_SIZE, TARGET)
    a.write(nt.LUTUDATA, nt.LUT_VALID | 1)
    assert entry_registers(a, 3) == [0, 0xFFFF, nt.LUT_VALID | 1]
    assert not a.window_open(4)


def test_words_of_one_entry_do_not_reach_another(linked: Pair, rams: tuple[Path, Path]) -> None:
    """The part has these words in each entry; an address written there stays there."""
    a, _ = linked
    a.set_entry(1, TARGET)
    a.set_entry(2, TARGET + WINDOW_SIZE)
    a.write(nt.LUTOFFSET, 1 | 4 << 8)
    a.write(nt.LUTUDATA, 1)
    assert a.stat("mw_open") == 1 << 3
    a.write(nt.LUTUDATA, nt.LUT_VALID | 1)
    assert entry_registers(a, 1) == [TARGET, 0, nt.LUT_VALID | 1]
    assert_open(a, rams[1], a.bar4 - a.bar2 + WINDOW_SIZE, TARGET)
    # begun in one entry, ended in it after a look at another
    a.write(nt.LUTLDATA, TARGET + 4096)
    assert entry_registers(a, 2) == [TARGET + WINDOW_SIZE, 0, nt.LUT_VALID | 1]
    a.write(nt.LUTUDATA, nt.LUT_VALID | 1)
    assert entry_registers(a, 2) == [TARGET + WINDOW_SIZE, 0, nt.LUT_VALID | 1]
    a.write(nt.LUTOFFSET, 1 | 4 << 8)
    a.write(nt.LUTUDATA, nt.LUT_VALID | 1)
    assert entry_registers(a, 1) == [TARGET + 4096, 0, nt.LUT_VALID | 1]


def test_staged_words_do_not_outlive_a_reset(linked: Pair) -> None:
    a, _ = linked
    a.write(nt.LUTOFFSET, 1 | 4 << 8)
    a.write(nt.LUTLDATA, TARGET)
    a.write(nt.LUTMDATA, 1)
    a.reset()
    a.setup()
    a.write(nt.LUTOFFSET, 1 | 4 << 8)
    a.write(nt.LUTUDATA, nt.LUT_VALID | 1)
    assert entry_registers(a, 1) == [0, 0, nt.LUT_VALID | 1]


def test_words_of_an_entry(linked: Pair) -> None:
    a, _ = linked
    a.write(nt.LUTOFFSET, 7 | 4 << 8)
    for register in (nt.LUTLDATA, nt.LUTMDATA, nt.LUTUDATA):
        a.write(register, nt.ALL_ONES)
    assert entry_registers(a, 7) == [0xFFFFFFFC, nt.ALL_ONES, 0x8000000F]
    assert a.page.get_all(a.part, "lut")[72 + 21 : 72 + 24] == (0xFFFFFFFC, nt.ALL_ONES, 0x8000000F)
    assert a.stat("mw_open") == 0


@pytest.mark.parametrize("offset", [12 | 4 << 8, 31 | 4 << 8, 0, 2 << 8, 3 << 8, 5 << 8, 7 << 8])
def test_what_is_no_entry(linked: Pair, offset: int) -> None:
    a, _ = linked
    a.write(nt.LUTOFFSET, offset)
    for register in (nt.LUTLDATA, nt.LUTMDATA, nt.LUTUDATA):
        a.write(register, nt.ALL_ONES)
        assert a.read(register) == 0
    assert not any(a.page.get_all(a.part, "lut"))


@pytest.mark.parametrize("part", [0, *range(2, 16)])
def test_own_and_absent_partitions(linked: Pair, part: int) -> None:
    a, _ = linked
    a.set_entry(0, TARGET, part=part)
    assert a.stat("mw_open") == 0
    assert_slot_closed(a, 0)


def test_reset_forgets_all(linked: Pair) -> None:
    a, _ = linked
    for entry in range(ENTRIES):
        a.set_entry(entry, TARGET)
    a.reset()
    a.setup()
    assert all(entry_registers(a, entry) == [0, 0, 0] for entry in range(ENTRIES))
    assert not any(a.page.get_all(a.part, "lut"))


@pytest.mark.parametrize("side", [0, 1], ids=["sender", "receiver"])
@pytest.mark.parametrize("gate", GATES)
def test_gates_close_all_entries(linked: Pair, gate: str, side: int) -> None:
    a, _ = linked
    shut, reopen = GATES[gate]
    for entry in range(ENTRIES):
        a.set_entry(entry, TARGET + entry * WINDOW_SIZE)
    shut(linked[side])
    assert_slot_closed(a, 0)
    assert_slot_closed(a, 11)
    assert a.stat("mw_open") == 0
    reopen(linked[side])
    a.settle()
    assert a.stat("mw_open") == 0x1FFE


def test_a_window_over_the_end_of_ram(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    a.set_entry(2, RAM_SIZE - WINDOW_SIZE // 2)
    here = a.bar4 - a.bar2 + 2 * WINDOW_SIZE
    assert_open(a, rams[1], here + WINDOW_SIZE // 2 - 4096, RAM_SIZE - 4096)
    before = digest(rams[1])
    a.qemu.write(a.bar4 + 2 * WINDOW_SIZE + WINDOW_SIZE // 2, 1, 8)
    assert a.qemu.read(a.bar4 + 2 * WINDOW_SIZE + WINDOW_SIZE // 2, 8) == 2**64 - 1
    assert digest(rams[1]) == before


# modes of both BARs, their sizes -> how many windows, and the size of those in each BAR
SHAPES = {
    ("lut24", "16M", "off", "32M"): (24, 16 << 15, 0),
    ("off", "2M", "lut24", "32M"): (24, 0, 1 << 20),
    ("direct", "1M", "lut24", "16K"): (25, 1 << 20, 512),
    ("lut12", "64K", "lut12", "32M"): (24, 4096, 2 << 20),
    ("lut12", "16K", "direct", "16K"): (13, 1024, 16 << 10),
    ("off", "2M", "off", "2M"): (0, 0, 0),
}


@pytest.mark.parametrize("shape", SHAPES, ids="-".join)
def test_shapes(bench: Bench, shape: tuple[str, ...]) -> None:
    words = dict(zip(("bar2_mode", "bar2_size", "bar4_mode", "bar4_size"), shape, strict=True))
    a, b = bench.start_pair(**words)
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    count, *apertures = SHAPES[shape]
    index = 0
    for bar, mode, aperture in zip((2, 4), shape[::2], apertures, strict=True):
        base = a.bar2 if bar == 2 else a.bar4
        for entry in range({"lut12": 12, "lut24": 24}.get(mode, 0)):
            target = TARGET + index * (1 << 20)
            a.set_entry(entry, target, bar=bar)
            assert_open(
                a, bench.ram(1), base - a.bar2 + entry * aperture, target, min(aperture, 4096)
            )
            index += 1
        if mode == "direct":
            at = nt.BARSETUP0 + 16 * bar
            a.write(at, a.read(at) | 1 << 13)
            a.write(at + 8, TARGET + index * (1 << 20))
            a.write(at + 4, base + aperture)
            assert_open(a, bench.ram(1), base - a.bar2, TARGET + index * (1 << 20))
            index += 1
    assert index == count
    assert a.stat("mw_open") == (1 << count) - 1


def test_repeating_oneself_changes_nothing(linked: Pair) -> None:
    a, _ = linked
    a.set_entry(0, TARGET)
    maps, unmaps = a.stat("win_map"), a.stat("win_unmap")
    for _ in range(50):
        a.write(nt.LUTUDATA, nt.LUT_VALID | 1)
    assert (a.stat("win_map"), a.stat("win_unmap")) == (maps, unmaps)


def test_a_changing_entry_leaves_the_others_alone(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    a.set_entry(0, TARGET)
    maps = a.stat("win_map")
    for step in range(20):
        a.set_entry(1, TARGET + step * 4096)
    assert a.stat("win_map") == maps + 20
    assert_open(a, rams[1], a.bar4 - a.bar2, TARGET)
