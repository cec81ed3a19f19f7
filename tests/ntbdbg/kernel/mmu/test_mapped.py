# SPDX-License-Identifier: MIT
"""Ranges of virtual addresses as memory: what is mapped of them, holes, bounds."""

from __future__ import annotations

import pytest

from ntbdbg.arch.x86_64 import paging
from ntbdbg.errors import FaultError, UsageError
from ntbdbg.kernel.mmu import mapped
from ntbdbg.kernel.mmu.mapped import MappedRange
from ntbdbg.kernel.mmu.paging import PageTables
from ntbdbg.memory import AddressRange, BufferMemory
from tests.support.fakespace import MIB, PAGE, FakeSpace

START = 0xFFFF_C900_0000_0000
GIB = 1 << 30


def space() -> FakeSpace:
    """Two scattered pages, a hole, one page of a device, 2 MiB a GiB further."""
    made = FakeSpace(16 * MIB)
    made.map(START, 8 * MIB, PAGE, page=PAGE)
    made.map(START + PAGE, 9 * MIB, PAGE, page=PAGE)
    made.map(START + 4 * PAGE, 0xFE00_0000, PAGE, page=PAGE)
    made.map(START + GIB, 4 * MIB, 2 * MIB)
    made.write(START + PAGE - 2, b"seam")
    made.write(START + GIB, b"far")
    return made


def view(low: int, high: int, levels: int = 4) -> MappedRange:
    made = space()
    memory = BufferMemory(made.data, name="qemu1")
    return MappedRange(PageTables(memory, made.root, paging(levels)), AddressRange(low, high))


def test_segments_are_what_is_mapped_to_ram() -> None:
    assert list(view(START, START + 2 * GIB).segments) == [
        (START, PAGE, 8 * MIB),
        (START + PAGE, PAGE, 9 * MIB),
        (START + GIB, 2 * MIB, 4 * MIB),
    ]


def test_the_range_cuts_and_starts_in_holes() -> None:
    assert list(view(START + PAGE + 16, START + PAGE + 32).segments) == [
        (START + PAGE + 16, 16, 9 * MIB + 16)
    ]
    assert view(START - GIB, START + 1).segments[0] == (START, 1, 8 * MIB)
    assert view(START + 2 * PAGE, START + 2 * GIB).segments[0].start == START + GIB


def test_reading_goes_over_the_seam() -> None:
    memory = view(START, START + 2 * GIB)
    assert memory.read(START + PAGE - 2, 4) == b"seam"
    assert [extent.start for extent in memory.extents()] == [START, START + PAGE, START + GIB]


def test_nothing_mapped_is_a_fault() -> None:
    with pytest.raises(FaultError, match="is not mapped"):
        view(START + 2 * PAGE, START + 3 * PAGE)
    with pytest.raises(FaultError, match="is mapped to physical 0xfe000000, which is beyond"):
        view(START + 4 * PAGE, START + 5 * PAGE)


def test_what_has_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "MOST_PIECES", 2)
    with pytest.raises(UsageError, match="too m"):
        view(START, START + 2 * GIB)
    monkeypatch.setattr(mapped, "MOST_PIECES", 1 << 16)
    monkeypatch.setattr(mapped, "LARGEST", MIB)
    with pytest.raises(UsageError, match="too much is mapped"):
        view(START, START + 2 * GIB)
