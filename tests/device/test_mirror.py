# SPDX-License-Identifier: MIT
"""x-mirror-mw: a window that nobody translated shows what the last one that was shows."""

from __future__ import annotations

import pytest

from tests.device import port as nt
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE, Port
from tests.device.test_window import Pair, assert_closed, assert_open

TARGET = 0x1000000


@pytest.fixture
def mirrored(bench: Bench) -> Pair:
    a, b = bench.start_pair(x_mirror_mw="on")
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    return a, b


def here(port: Port, entry: int) -> int:
    """Offset of an entry's window from the direct one, as `assert_open` counts."""
    return port.bar4 - port.bar2 + entry * WINDOW_SIZE


def test_off_by_default(linked: Pair) -> None:
    a, _ = linked
    a.set_entry(3, TARGET)
    assert a.stat("mw_open") == 1 << 4


def test_all_of_the_same_size_show_the_one(mirrored: Pair, bench: Bench) -> None:
    a, _ = mirrored
    assert a.stat("mw_open") == 0
    a.set_entry(3, TARGET)
    assert a.stat("mw_open") == 0x1FFF
    assert bench.page.get_all(0, "lut")[72:75] == (0, 0, 0)
    assert_open(a, bench.ram(1), 0, TARGET)
    assert_open(a, bench.ram(1), here(a, 11), TARGET)


def test_the_one_programmed_last_counts(mirrored: Pair, bench: Bench) -> None:
    a, _ = mirrored
    a.set_entry(3, TARGET)
    a.set_window(TARGET + WINDOW_SIZE)
    assert_open(a, bench.ram(1), here(a, 0), TARGET + WINDOW_SIZE)
    assert_open(a, bench.ram(1), here(a, 3), TARGET)
    a.set_entry(3, TARGET + 2 * WINDOW_SIZE)
    assert_open(a, bench.ram(1), here(a, 0), TARGET + 2 * WINDOW_SIZE)
    assert_open(a, bench.ram(1), 0, TARGET + WINDOW_SIZE)
    a.clear_entry(3)
    assert_open(a, bench.ram(1), here(a, 3), TARGET + WINDOW_SIZE)
    a.write(nt.BARLIMIT2, 0)
    a.write(nt.BARLIMIT3, 0)
    assert a.stat("mw_open") == 0
    assert_closed(a)


def test_windows_of_another_size_do_not(bench: Bench) -> None:
    a, b = bench.start_pair(x_mirror_mw="on", bar2_size="4M")
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    a.set_entry(0, TARGET)
    assert a.stat("mw_open") == 0x1FFE


def test_reset_forgets_the_order(mirrored: Pair) -> None:
    a, _ = mirrored
    a.set_entry(3, TARGET)
    a.reset()
    a.setup()
    a.link_enable()
    assert a.stat("mw_open") == 0


def test_a_window_that_a_move_opens_counts_as_well(mirrored: Pair, bench: Bench) -> None:
    """A limit is absolute: where the BAR is decides whether there is a translation."""
    a, _ = mirrored
    home = a.bar2
    a.set_entry(3, TARGET)
    a.set_window(TARGET + WINDOW_SIZE, limit=home)
    assert_open(a, bench.ram(1), here(a, 0), TARGET)
    a.move_window(home - WINDOW_SIZE)
    assert_open(a, bench.ram(1), 0, TARGET + WINDOW_SIZE)
    assert_open(a, bench.ram(1), here(a, 0), TARGET + WINDOW_SIZE)
