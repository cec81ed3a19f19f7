# SPDX-License-Identifier: MIT
"""Doorbells, scratchpads and windows between two ports, and the order among them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

import pytest

from tests.device.deadline import eventually
from tests.device.epf import support as epf
from tests.device.epf.support import WINDOW_SIZE, EpfBench, EpfPort, link
from tests.device.switch import PORT_OFF, PORT_STRIDE

Pair = tuple[EpfPort, EpfPort]
TARGET = 0x1000000
SOME = os.urandom(256)


def test_every_doorbell(new_bench: Callable[..., EpfBench]) -> None:
    bench = new_bench()
    a, b = bench.start_pair(msix_vectors=32)
    a.vectors = b.vectors = 32
    link(a, b)
    for n in range(2, 32):
        a.ring(n)
        b.settle()
        assert b.raised() == {n}
        assert a.area("rung")[n] == b.area("raised")[n] == 1
    assert a.raised() == set()


@pytest.mark.parametrize("vector", [0, 1])
def test_vectors_that_are_no_doorbells(linked: Pair, vector: int) -> None:
    """0 is the link's, and 1 must never come: old drivers would take it for a doorbell."""
    a, b = linked
    dropped = a.stat("dropped_tx")
    a.ring(vector)
    b.settle()
    assert b.raised() == set()
    assert a.stat("dropped_tx") == dropped + 1
    # nor from a page that lies
    b.page.put(b.part, "indbellsts", 1 << vector)
    a.ring(5)
    b.settle()
    assert b.raised() == {5}


def test_vectors_that_the_peer_does_not_use(linked: Pair) -> None:
    a, b = linked
    dropped = b.stat("dropped_rx")
    a.ring(b.vectors)
    a.ring(31)
    b.settle()
    assert b.raised() == set()
    assert b.stat("dropped_rx") == dropped + 2


def test_what_is_written_counts_for_nothing(linked: Pair) -> None:
    a, b = linked
    a.qemu.write(a.bar2 + 4 * 3, 0)
    b.settle()
    assert b.raised() == {3}
    for at, size in ((4 * 3, 2), (4 * 3, 1), (4 * 3 + 2, 4), (4 * 32, 4), (0xFFC, 4)):
        a.qemu.write(a.bar2 + at, 8, size)
    b.settle()
    assert b.raised() == set()
    assert a.qemu.read(a.bar2 + 4 * 3) == 0


def test_a_doorbell_while_the_link_is_down(linked: Pair) -> None:
    a, b = linked
    assert b.command(epf.LINK_DOWN) == epf.OK
    a.settle()
    dropped, rung = a.stat("dropped_tx"), a.area("rung")
    a.ring(2)
    assert (a.stat("dropped_tx"), a.area("rung")) == (dropped + 1, rung)
    b.page.put(b.part, "indbellsts", 4)
    b.qemu.write(b.bar2, 0)
    assert b.command(epf.LINK_UP) == epf.OK
    a.settle()
    b.settle()
    assert b.raised() == set()


def test_a_masked_vector_waits(linked: Pair) -> None:
    a, b = linked
    b.mask(4)
    a.ring(4)
    a.ring(5)
    b.settle()
    assert b.raised() == {5}
    assert b.waiting() == 1 << 4
    assert (b.stat("msix_masked"), b.stat("msix_pending")) == (1 << 4, 1 << 4)
    b.mask(4, masked=False)
    assert b.raised() == {4}
    a.ring(4)
    b.settle()
    assert b.stat("msix_masked") == b.stat("msix_pending") == 0


def test_a_masked_function(linked: Pair) -> None:
    a, b = linked
    b.cfg_write(epf.MSIX_CAP + 2, epf.MSIX_ENABLE | epf.MSIX_MASK_ALL, 2)
    assert b.stat("msix_ctl") & epf.MSIX_MASK_ALL
    a.ring(2)
    b.settle()
    assert b.raised() == set()
    b.cfg_write(epf.MSIX_CAP + 2, epf.MSIX_ENABLE, 2)
    assert b.raised() == {2}


def test_many_doorbells_are_one_wake_up(linked: Pair) -> None:
    a, b = linked
    before = sum(a.area("rung"))
    a.qemu.begin([f"writel {a.bar2 + 8:#x} 4"] * 500)
    a.qemu.finish(500)
    b.settle()
    assert sum(a.area("rung")) == before + 500
    assert 1 <= b.area("raised")[2] <= 500
    assert b.raised() == {2}


def test_scratchpads(linked: Pair) -> None:
    a, b = linked
    for n in range(a.spads):
        a.set_peer_spad(n, 0xA0000000 + n)
        b.set_peer_spad(n, 0xB0000000 + n)
    for n in range(a.spads):
        assert (a.spad(n), b.spad(n)) == (0xB0000000 + n, 0xA0000000 + n)
        assert (b.peer_spad(n), a.peer_spad(n)) == (0xB0000000 + n, 0xA0000000 + n)
        a.set_spad(n, n)
        assert b.peer_spad(n) == n
    assert a.page.get_all(a.part, "spad")[: a.spads] == tuple(range(a.spads))


def test_scratchpads_are_whole_words(linked: Pair) -> None:
    a, _ = linked
    a.set_spad(2, 0x11223344)
    at = epf.SPADS + 8
    for offset, size in ((0, 1), (0, 2), (2, 2), (1, 4)):
        a.write(at + offset, 0xFFFFFFFF, size)
        assert a.read(at + offset, size) == 0
    assert a.spad(2) == 0x11223344


def test_there_are_no_more(linked: Pair) -> None:
    a, b = linked
    for at in range(epf.SPADS + 8 * a.spads, epf.SPADS + 0x1000, 0x40):
        a.write(at, 1)
        assert a.read(at) == 0
    assert a.page.get_all(b.part, "spad") == (0,) * 64


def test_nobody_there(bench: EpfBench) -> None:
    a = bench.start(0)
    a.set_peer_spad(3, 1)
    assert a.peer_spad(3) == 0
    a.ring(2)
    assert a.stat("dropped_tx") == 1
    assert bench.page.get(1, "spad") == 0


def test_windows_both_ways(linked: Pair) -> None:
    a, b = linked
    for port in linked:
        for index in (0, 1):
            assert port.set_window(TARGET + index * WINDOW_SIZE, index=index) == epf.OK
    assert [port.stat("mw_open") for port in linked] == [3, 3]
    for own, other in ((a, b), (b, a)):
        traps = own.stat("win_trap")
        for index, bar in enumerate((own.bar4, own.bar5)):
            for offset in (0, 0x1234, WINDOW_SIZE - 256):
                own.qemu.write_bytes(bar + offset, SOME)
                at = TARGET + index * WINDOW_SIZE + offset
                assert other.qemu.read_bytes(at, 256) == SOME
        assert own.stat("win_trap") == traps


def test_a_smaller_translation(linked: Pair) -> None:
    a, b = linked
    assert a.set_window(TARGET, 0x3000) == epf.OK
    a.qemu.write_bytes(TARGET + 0x3000, SOME)
    b.qemu.write(b.bar4 + 0x2FFC, 5)
    b.qemu.write(b.bar4 + 0x3000, 5)
    assert b.qemu.read(b.bar4 + 0x3000) == 0xFFFFFFFF
    assert a.qemu.read(TARGET + 0x2FFC) == 5
    assert a.qemu.read_bytes(TARGET + 0x3000, 256) == SOME


def test_a_window_opens_before_the_word_that_announces_it(linked: Pair) -> None:
    """The main loop has not run since the peer wrote: reading a scratchpad catches up."""
    a, b = linked
    block = PORT_OFF + a.part * PORT_STRIDE
    at = a.page.fields["mw"][0]
    struct.pack_into("<QQII", a.page.bytes, block + at, TARGET, WINDOW_SIZE, 1, 0)
    a.page.put(b.part, "spad", *(7,) * 64)
    a.page.put(b.part, "kick_pending", 1)
    assert not b.window_open()
    before = b.stat("take_ins")
    assert b.spad(0) == 7
    assert b.stat("take_ins") == before + 1
    assert b.window_open()
    assert b.spad(0) == 7
    assert b.stat("take_ins") == before + 1, "only where there was something to take in"


def test_a_table_that_is_being_written_leads_nowhere(linked: Pair) -> None:
    a, b = linked
    assert a.set_window(TARGET) == epf.OK
    a.page.put(a.part, "mw_seq", a.stat("mw_seq") | 1)
    a.ring(2)
    b.settle()
    assert not b.window_open()
    assert a.set_window(TARGET) == epf.OK
    assert a.stat("mw_seq") % 2 == 0
    assert b.window_open()


def test_one_exit_for_a_doorbell(new_bench: Callable[..., EpfBench]) -> None:
    """The driver reads three registers for each, none of which traps."""
    bench = new_bench()
    traces = ("-trace", "memory_region_ops_*")
    a = bench.start_argv([*bench.argv(0), *traces], 0)
    b = bench.start(1)
    link(a, b)
    before = a.qemu.log_text().count("memory_region_ops")
    for register in (epf.DB_ENTRY_SIZE, epf.DB_DATA + 8, epf.DB_OFFSET + 8):
        a.read(register)
    a.ring(2)
    eventually(lambda: b.area("raised")[2] == 1, "the doorbell")
    text = a.qemu.log_text()
    assert text.count("memory_region_ops") == before + 1
    assert text.rstrip().splitlines()[-1].count("ntb-epf-doorbells")
