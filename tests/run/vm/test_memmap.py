# SPDX-License-Identifier: MIT
"""QEMU's rule for RAM, and what a running QEMU shows; real ones are compared in tests/vm."""

from __future__ import annotations

import itertools

import pytest

from ntbdbg.lab.sources.flatmap import MIB, from_mtree, machine_kind
from run.vm.memmap import rule

GIB = 1 << 30

LOW = (0, 0xA0000, 0)

#: `info mtree -f` of a q35 with 4 GiB, cut; 0xc0000-0xfffff is in pieces while firmware runs
MTREE = """\
FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-000000000009ffff (prio 0, ram): ram
  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  00000000000e0000-00000000000fffff (prio 1, rom): pc.bios @0000000000020000
  0000000000100000-0000000000ffffff (prio 0, ram): ram @0000000000100000
  0000000001000000-000000007fffffff (prio 0, ram): ram @0000000001000000
  00000000fe800000-00000000fe9fffff (prio 1, ram): idt-ntb-peer @0000000002000000
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios
  0000000100000000-000000017fffffff (prio 0, ram): ram @0000000080000000

FlatView #2
 AS "idt-ntb-ivshmem", root: bus master container
 Root memory region: (none)
  No rendered FlatView
"""


def plain(segments):
    return [(s.gpa, s.size, s.offset) for s in segments]


def test_small_guest():
    assert plain(rule("q35", 256 * MIB)) == [LOW, (0xC0000, 256 * MIB - 0xC0000, 0xC0000)]


def test_large_q35_is_split_at_2_gib():
    assert plain(rule("q35", 4 * GIB)) == [
        LOW,
        (0xC0000, 2 * GIB - 0xC0000, 0xC0000),
        (4 * GIB, 2 * GIB, 2 * GIB),
    ]


@pytest.mark.parametrize(
    ("machine", "threshold", "low"),
    [("q35", 0xB0000000, 0x80000000), ("pc", 0xE0000000, 0xC0000000)],
)
def test_threshold(machine, threshold, low):
    assert len(rule(machine, threshold - MIB)) == 2
    split = plain(rule(machine, threshold))
    assert split[-1] == (4 * GIB, threshold - low, low)


@pytest.mark.parametrize("size", [64 << 10, 0xA0000, 0xB0000, 0xC0000, MIB])
def test_tiny(size):
    segments = rule("q35", size)
    assert all(s.gpa + s.size <= size for s in segments)
    assert segments[0].gpa == 0


def test_every_byte_of_the_file_once():
    for size in (256 * MIB, 3 * GIB, 8 * GIB):
        segments = rule("q35", size)
        assert sum(s.size for s in segments) == size - 0x20000
        ends = [(s.offset, s.offset + s.size) for s in segments]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))


def test_what_qemu_shows_agrees_with_the_rule():
    assert from_mtree(MTREE, "ram") == rule("q35", 4 * GIB)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", MTREE.replace('AS "memory", root: system', ""), MTREE.replace("ram:", "x:")],
)
def test_what_makes_no_sense_gives_nothing(text):
    assert from_mtree(text, "other") == ()


def test_another_backend_is_not_ours():
    assert from_mtree(MTREE, "idt-ntb-peer") == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pc-q35-10.0-machine", "q35"),
        ("pc-i440fx-10.0-machine", "pc"),
        ("microvm-machine", None),
        ("none-machine", None),
    ],
)
def test_machine_kind(name, kind):
    assert machine_kind(name) == kind
