# SPDX-License-Identifier: MIT
"""Kernel addresses from Python: symbols, virtual addresses, per-CPU variables, patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ntbdbg
from ntbdbg.errors import FaultError, KernelError, TargetError, UsageError
from tests.support.linuxlab import JIFFIES, SCATTERED, SCATTERED_BYTES, SCATTERED_SIZE, LinuxLab


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("linux")


@pytest.fixture(scope="module")
def made(root: Path) -> Iterator[LinuxLab]:
    with LinuxLab(root) as fake:
        yield fake


@pytest.fixture
def lab(made: LinuxLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[ntbdbg.Lab]:
    made.monkeypatch(monkeypatch)
    with ntbdbg.open() as opened:
        yield opened


@pytest.mark.parametrize("name", ["qemu1", "qemu2"])
def test_symbols_lead_where_the_guest_has_them(lab: ntbdbg.Lab, made: LinuxLab, name: str) -> None:
    place = lab[name].resolve("jiffies_64")
    assert place.address == made.linux[name].symbols["jiffies_64"]
    assert (place.is_virtual, place.symbol, place.size) == (True, "jiffies_64", 8)
    assert lab[name].read("jiffies_64", 8) == JIFFIES.to_bytes(8, "little")
    assert lab[name].read(hex(place.address), 8) == JIFFIES.to_bytes(8, "little")
    assert lab[name].read(f"pa:{made.physical(name, 'jiffies_64'):#x}", 8) == JIFFIES.to_bytes(
        8, "little"
    )


def test_another_guests_symbol(lab: ntbdbg.Lab, made: LinuxLab) -> None:
    place = lab["qemu1"].resolve("qemu2:jiffies_64+2")
    assert place.guest is lab["qemu2"]
    assert place.address == made.linux["qemu2"].symbols["jiffies_64"] + 2
    assert place.size == 6


def test_the_longest_symbol_wins(lab: ntbdbg.Lab, made: LinuxLab) -> None:
    symbols = made.linux["qemu1"].symbols
    assert lab["qemu1"].resolve("idle_loop.isra.0").address == symbols["idle_loop.isra.0"]
    assert lab["qemu1"].resolve("idle_loop").address == symbols["idle_loop"]


def test_offsets_lead_both_ways_and_out_of_the_symbol(lab: ntbdbg.Lab) -> None:
    start = lab["qemu1"].resolve("idle_loop").address
    before = lab["qemu1"].resolve("idle_loop-8")
    assert (before.address, before.size) == (start - 8, None)
    assert lab["qemu1"].resolve("idle_loop+48").size is None
    with pytest.raises(UsageError, match="out of 64 bits"):
        lab["qemu1"].resolve("idle_loop+0xffffffffffffffff")


@pytest.mark.parametrize(("cpu", "value"), [(0, 0xC0), (1, 0xC1)])
def test_each_cpu_has_its_own(lab: ntbdbg.Lab, cpu: int, value: int) -> None:
    assert lab["qemu1"].read(f"cpu_number@{cpu}", 4) == value.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("jiffies_46", "no symbol 'jiffies_46'", "similar: jiffies_64"),
        ("cpu_number", "each CPU has its own cpu_number", "say which: cpu_number@CPU"),
        ("cpu_number@2", "there is no CPU 2", "its CPUs: 0, 1"),
        ("jiffies_64@0", "jiffies_64 is no per-CPU variable", "leave @0 out"),
        ("nomodule:jiffies_64", "nomodule", ""),
    ],
)
def test_what_is_not_there_is_a_kernel_error(
    lab: ntbdbg.Lab, text: str, why: str, hint: str
) -> None:
    with pytest.raises(KernelError) as caught:
        lab["qemu1"].resolve(text)
    assert why in caught.value.message
    assert hint in (caught.value.hint or "")


def test_an_unmapped_address_says_which_entry_is_missing(lab: ntbdbg.Lab) -> None:
    with pytest.raises(FaultError, match="0x1000 is not mapped: its pgd entry 0x0 is not present"):
        lab["qemu1"].read("va:0x1000", 4)


def test_pieces_of_scattered_pages_are_read_in_order(lab: ntbdbg.Lab) -> None:
    whole = lab["qemu1"].read(hex(SCATTERED), SCATTERED_SIZE)
    assert whole == SCATTERED_BYTES
    with pytest.raises(FaultError, match="is not mapped") as caught:
        lab["qemu1"].read(hex(SCATTERED), SCATTERED_SIZE + 1)
    assert caught.value.address == SCATTERED + SCATTERED_SIZE


def test_a_patch_over_scattered_pages_needs_no_kernel_to_be_undone(
    lab: ntbdbg.Lab, made: LinuxLab
) -> None:
    guest = lab["qemu1"]
    old = guest.read(hex(SCATTERED), SCATTERED_SIZE)
    done = guest.patch(hex(SCATTERED + 0xFF0), b"over the border of two pages")
    assert done.address == SCATTERED + 0xFF0
    assert [(s.start, s.size) for s in done.segments] == [
        (done.address, 0x10),
        (done.address + 0x10, len(done.new) - 0x10),
    ]
    assert guest.read(hex(SCATTERED + 0xFF0), 28) == b"over the border of two pages"
    root = made.linux["qemu1"].space.root
    tables = made.peek("qemu1", root, 4096)
    made.poke("qemu1", root, bytes(4096))
    try:
        lab.undo(done.number)
    finally:
        made.poke("qemu1", root, tables)
    assert guest.read(hex(SCATTERED), SCATTERED_SIZE) == old


def test_expect_may_be_longer_than_the_patch(lab: ntbdbg.Lab) -> None:
    guest = lab["qemu1"]
    old = guest.read(hex(SCATTERED + 0xFFE), 4)
    assert guest.patch(hex(SCATTERED + 0xFFE), b"\x77", expect=old, dry_run=True).new == b"\x77"
    with pytest.raises(ntbdbg.NtbdbgError, match="nothing was changed"):
        guest.patch(hex(SCATTERED + 0xFFE), b"\x77", expect=b"\0\0\0\0")


def test_a_place_in_no_ram_file_is_not_patched(lab: ntbdbg.Lab, made: LinuxLab) -> None:
    guest = ntbdbg.Guest("copy", made.linux["qemu1"].copy(), lab)
    with pytest.raises(TargetError, match="is no RAM file"):
        guest.patch("jiffies_64", b"\0")


def test_a_guest_without_kernel_says_so(lab: ntbdbg.Lab, made: LinuxLab) -> None:
    guest = ntbdbg.Guest("empty", ntbdbg.BufferMemory(bytes(1 << 20), name="empty"), lab)
    with pytest.raises(KernelError, match="empty: no Linux kernel") as caught:
        guest.read("jiffies_64", 8)
    assert caught.value.hint
    assert guest.read(0x1000, 4) == bytes(4)
