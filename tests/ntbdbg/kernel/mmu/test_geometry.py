# SPDX-License-Identifier: MIT
"""Page tables of other forms than x86-64's walk by the same engine: each form is written here."""

from __future__ import annotations

import struct

import pytest

from ntbdbg.arch.base import MASK, Geometry, Level, Refused, Rights
from ntbdbg.arch.x86_64 import paging
from ntbdbg.errors import FaultError
from ntbdbg.kernel.mmu.paging import PageTables, Run
from ntbdbg.memory import BufferMemory

MIB = 1 << 20


class Sv39(Geometry):
    """Three levels; an entry that allows nothing leads to a table; rights are the page's alone."""

    def page(self, virtual: int, entry: int, level: int) -> int:
        if not entry & 1:
            raise Refused("is not valid")
        inside = (1 << self.levels[level].shift) - 1
        start = (entry >> 10 & (1 << 44) - 1) << 12
        if start & inside:
            raise Refused("is a misaligned page")
        return start

    def flags(self, entry: int, level: int) -> tuple[str, ...]:
        return tuple(name for bit, name in enumerate("VRWXU") if entry >> bit & 1)

    def rights(self, entry: int, level: int) -> Rights:
        if entry & 0xF == 1:
            return Rights(True, True, True)
        return Rights(bool(entry & 4), bool(entry & 16), bool(entry & 8))


SV39 = Sv39(
    levels=(Level("pte", 12, 9), Level("pmd", 21, 9), Level("pgd", 30, 9)),
    significant=39,
    alike=38,
    physical=1 << 56,
    present=1,
    to_table=(0xF, 1),
    address=0,
    gather=lambda entry: (entry >> 10 & (1 << 44) - 1) << 12,
)


class Granule16K(Geometry):
    """The half of the kernel alone; bit 1 means a table above, and a page at the lowest level."""

    def page(self, virtual: int, entry: int, level: int) -> int:
        if not entry & 1 or (level == 0) != bool(entry & 2):
            raise Refused("is invalid")
        return entry & self.address & -(1 << self.levels[level].shift)

    def flags(self, entry: int, level: int) -> tuple[str, ...]:
        return ("RO",) if entry & 1 << 7 else ()

    def rights(self, entry: int, level: int) -> Rights:
        return Rights(not entry & 1 << 7, bool(entry & 1 << 6), not entry & 1 << 53)


GRANULE_16K = Granule16K(
    levels=(Level("pte", 14, 11), Level("pmd", 25, 11), Level("pgd", 36, 11)),
    significant=47,
    alike=47,
    physical=1 << 48,
    present=1,
    to_table=(3, 3),
    address=(1 << 48) - (1 << 14),
    halves=(MASK,),
)


def tables(geometry: Geometry, *words: tuple[int, int]) -> PageTables:
    """Tables with root 0x10000 in 4 MiB of RAM; `words`: GPA and entry."""
    data = bytearray(4 * MIB)
    for at, word in words:
        struct.pack_into("<Q", data, at, word)
    return PageTables(BufferMemory(data, name="qemu1"), 0x10000, geometry)


def sv39() -> PageTables:
    def entry(address: int, rights: int) -> int:
        return address >> 12 << 10 | rights

    return tables(
        SV39,
        (0x10000 + 8 * 0x1FF, entry(0x20000, 1)),
        (0x20000 + 8 * 3, entry(0x30000, 1)),
        (0x30000 + 8 * 5, entry(0x12_3000, 0x7)),
        (0x20000 + 8 * 4, entry(0x20_0000, 0xB)),
        (0x20000 + 8 * 6, entry(0x20_1000, 0xB)),
    )


def test_three_levels_whose_addresses_are_elsewhere_in_entries():
    walked = sv39()
    page = 0xFFFF_FFFF_C060_5000
    assert walked.translate(page + 0x123) == (0x12_3123, 0x1000 - 0x123)
    walk = walked.walk(page)
    assert [step.level for step in walk.steps] == ["pgd", "pmd", "pte"]
    assert (walk.address, walk.page_size) == (0x12_3000, 0x1000)
    assert (walk.writable, walk.user, walk.executable) == (True, False, False)
    large = walked.walk(0xFFFF_FFFF_C080_0000 + MIB)
    assert (large.address, large.page_size) == (0x30_0000, 2 * MIB)
    assert (large.writable, large.executable) == (False, True)
    assert list(walked.mapped(0xFFFF_FFFF_C000_0000, 1 << 30, most_tables=8)) == [
        Run(page, 0x12_3000, 0x1000),
        Run(0xFFFF_FFFF_C080_0000, 0x20_0000, 2 * MIB),
    ]


@pytest.mark.parametrize(
    ("virtual", "reason"),
    [
        (0xFFFF_FFFF_C0C0_0000, "its pmd entry 0x8040b is a misaligned page"),
        (0xFFFF_FFFF_C000_0000, "its pmd entry 0x0 is not valid"),
        (0x0000_0050_0000_0000, "is not canonical: more than 39 bits of it count"),
    ],
)
def test_what_such_tables_do_not_map(virtual, reason):
    with pytest.raises(FaultError, match=reason):
        sv39().translate(virtual)


def test_a_granule_of_16_kib_and_the_half_of_the_kernel():
    walked = tables(
        GRANULE_16K,
        (0x10000 + 8 * 1, 0x20000 | 3),
        (0x20000 + 8 * 2, 0x30000 | 3),
        (0x30000 + 8 * 3, 0x14_0000 | 3 | 1 << 7),
        (0x30000 + 8 * 4, 0x14_4000 | 3),
        (0x30000 + 8 * 5, 0x14_8000 | 1),
    )
    start = 0xFFFF_8000_0000_0000 + (1 << 36) + (2 << 25) + (3 << 14)
    assert walked.translate(start + 0x3000) == (0x14_3000, 0x1000)
    assert list(walked.runs(start, 0x8000)) == [Run(start, 0x14_0000, 0x8000)]
    assert (walked.walk(start).page_size, walked.walk(start).writable) == (0x4000, False)
    with pytest.raises(FaultError, match="its pte entry 0x148001 is invalid"):
        walked.translate(start + 0x8000)
    for beyond in (0x1000, 0x7FFF_FFFF_F000, 0xFFFE_FFFF_FFFF_F000):
        with pytest.raises(FaultError, match="is not canonical: more than 47 bits of it count"):
            walked.translate(beyond)


def test_x86_has_four_levels_or_five():
    assert [level.name for level in paging(4).levels] == ["pte", "pmd", "pud", "pgd"]
    assert [level.name for level in paging(5).levels] == ["pte", "pmd", "pud", "p4d", "pgd"]
    with pytest.raises(ValueError, match="3 levels"):
        paging(3)
