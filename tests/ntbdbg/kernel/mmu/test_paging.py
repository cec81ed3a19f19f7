# SPDX-License-Identifier: MIT
"""Page tables: every size of page, every reason not to be mapped, memory by virtual address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.arch.x86_64 import paging
from ntbdbg.errors import FaultError, UsageError
from ntbdbg.kernel.mmu.paging import PageTables, Run
from ntbdbg.kernel.mmu.virtual import VirtualMemory, read_some
from ntbdbg.memory import BufferMemory, Segment
from tests.support.fakespace import GLOBAL, LEAF, MIB, NX, PAGE, FakeSpace

GIB = 1 << 30
KERNEL = 0xFFFF_FFFF_8100_0000
VMALLOC = 0xFFFF_C900_0000_0000
DIRECT = 0xFFFF_8880_0000_0000


@pytest.fixture(params=[4, 5])
def space(request) -> FakeSpace:
    space = FakeSpace(8 * MIB, levels=request.param)
    space.map(KERNEL, 2 * MIB, 2 * MIB)
    space.map(VMALLOC, 4 * MIB + PAGE, PAGE, page=PAGE, flags=LEAF | NX)
    space.map(VMALLOC + PAGE, 4 * MIB, PAGE, page=PAGE)
    space.map(VMALLOC + 2 * PAGE, 4 * MIB + 2 * PAGE, 2 * PAGE, page=PAGE)
    space.map(DIRECT, 0, GIB)
    return space


@pytest.fixture
def tables(space) -> PageTables:
    return PageTables(BufferMemory(space.data, name="qemu1"), space.root, paging(space.levels))


@pytest.fixture
def virtual(tables) -> VirtualMemory:
    return VirtualMemory(tables)


@pytest.mark.parametrize(
    ("address", "physical", "size"),
    [
        (KERNEL, 2 * MIB, 2 * MIB),
        (KERNEL + 0x12345, 2 * MIB + 0x12345, 2 * MIB),
        (VMALLOC + 0xFFF, 4 * MIB + PAGE + 0xFFF, PAGE),
        (VMALLOC + PAGE, 4 * MIB, PAGE),
        (DIRECT + 5 * MIB + 3, 5 * MIB + 3, GIB),
    ],
)
def test_pages_of_every_size(space, tables, address, physical, size):
    assert tables.translate(address) == (physical, size - physical % size)
    walk = tables.walk(address)
    assert (walk.address, walk.page_size, walk.reason) == (physical, size, None)
    names = (
        ["pgd", "p4d", "pud", "pmd", "pte"] if space.levels == 5 else ["pgd", "pud", "pmd", "pte"]
    )
    depth = {PAGE: 0, 2 * MIB: 1, GIB: 2}[size]
    assert [step.level for step in walk.steps] == names[: len(names) - depth]
    assert walk.steps[0].table == space.root
    assert ("PS" in walk.steps[-1].flags) == (size > PAGE)


def test_flags_and_what_they_allow(tables):
    walk = tables.walk(VMALLOC)
    assert walk.steps[-1].flags == ("P", "RW", "A", "D", "G", "NX")
    assert (walk.writable, walk.user, walk.executable) == (True, False, False)
    assert tables.walk(KERNEL).executable
    nothing = tables.walk(KERNEL - 1)
    assert (nothing.writable, nothing.user, nothing.executable) == (False, False, False)


def entry(space: FakeSpace, address: int, level: int, value: int) -> None:
    space.poke_u64(space.entry(address, level), value)


@pytest.mark.parametrize(
    ("change", "address", "reason"),
    [
        (lambda s: None, VMALLOC - 1, r"its p.. entry 0x0 is not present"),
        (lambda s: entry(s, VMALLOC, 1, 0x1000), VMALLOC, "its pte entry 0x1000 is not present"),
        (lambda s: entry(s, KERNEL, 2, 0x2010E3), KERNEL, None),
        (lambda s: entry(s, KERNEL, 2, 0x2020E3), KERNEL, r"reserved bits 0x2000 set"),
        (lambda s: entry(s, DIRECT, 3, 0x2000E3), DIRECT, r"pud entry 0x2000e3 has reserved bits"),
        (lambda s: entry(s, DIRECT, s.levels, 0xE3), DIRECT, r"pgd entry 0xe3 has reserved bit 7"),
        (lambda s: entry(s, KERNEL, 3, 0x8000_0063), KERNEL, r"pmd table at 0x80000000 is beyond"),
        (lambda s: None, 1 << 60, r"is not canonical: more than (48|57) bits"),
        (lambda s: None, 0xFFFE_8000_0000_0000 << 4, r"not canonical"),
    ],
)
def test_reasons(space, tables, change, address, reason):
    change(space)
    walk = tables.walk(address)
    if reason is None:
        assert walk.address is not None
        return
    assert walk.address is None
    with pytest.raises(FaultError, match=reason) as caught:
        tables.translate(address)
    assert (caught.value.source, caught.value.address) == ("qemu1", address)
    assert caught.value.reason == walk.reason


@pytest.mark.parametrize("root", [1 << 52, (1 << 64) - 1])
def test_a_root_beyond_physical_memory(space, root):
    tables = PageTables(BufferMemory(space.data), root, paging(space.levels))
    for ask in (lambda: tables.translate(KERNEL), lambda: list(tables.runs(KERNEL, 8))):
        with pytest.raises(FaultError, match="beyond any physical address"):
            ask()


def test_runs_are_merged_where_memory_is_contiguous(tables):
    assert list(tables.runs(VMALLOC + 1, 4 * PAGE - 1)) == [
        Run(VMALLOC + 1, 4 * MIB + PAGE + 1, PAGE - 1),
        Run(VMALLOC + PAGE, 4 * MIB, PAGE),
        Run(VMALLOC + 2 * PAGE, 4 * MIB + 2 * PAGE, 2 * PAGE),
    ]
    assert list(tables.runs(DIRECT, 4 * MIB)) == [Run(DIRECT, 0, 4 * MIB)]


def test_an_encryption_bit_is_no_address(space):
    mask = 1 << 47
    entry(space, KERNEL, 2, 2 * MIB | LEAF | 1 << 7 | mask)
    memory = BufferMemory(space.data)
    assert (
        PageTables(memory, space.root, paging(space.levels, mask)).translate(KERNEL)[0] == 2 * MIB
    )


def test_reading_across_pages(space, virtual):
    space.write(VMALLOC + PAGE - 3, b"abcdef")
    assert virtual.read(VMALLOC + PAGE - 3, 6) == b"abcdef"
    buffer = bytearray(6)
    virtual.readinto(VMALLOC + PAGE - 3, memoryview(buffer))
    assert buffer == b"abcdef"
    assert virtual.view(VMALLOC + PAGE, 3) == b"def"
    with pytest.raises(UsageError, match="not contiguous in physical memory at 0xffffc90000001000"):
        virtual.view(VMALLOC + PAGE - 3, 6)


def test_writing_across_pages(space, virtual):
    virtual.write(VMALLOC + PAGE - 2, b"wxyz")
    assert space.read(VMALLOC + PAGE - 2, 4) == b"wxyz"


def test_all_of_a_write_or_none_of_it(space, virtual):
    before = bytes(space.data)
    with pytest.raises(FaultError, match="0xffffc90000004000 is not mapped"):
        virtual.write(VMALLOC + 4 * PAGE - 2, b"wxyz")
    assert space.data == before


def test_the_first_byte_that_is_not_mapped_is_named(virtual):
    with pytest.raises(FaultError) as caught:
        virtual.read(VMALLOC + 3 * PAGE, 2 * PAGE)
    assert (caught.value.address, caught.value.size) == (VMALLOC + 4 * PAGE, PAGE)
    assert read_some(virtual, VMALLOC + 3 * PAGE, 2 * PAGE) == bytes(PAGE)
    assert read_some(virtual, VMALLOC + 4 * PAGE, 8) == b""


def test_what_is_mapped_to_no_ram(virtual):
    with pytest.raises(FaultError, match="is mapped to physical 0x800000, which is beyond the end"):
        virtual.read(DIRECT + 8 * MIB - 4, 8)


def test_a_piece_behind_the_pci_hole(space):
    segments = [Segment(0, 6 * MIB, 0), Segment(1 << 32, 2 * MIB, 6 * MIB)]
    space.map(VMALLOC + 16 * PAGE, 1 << 32, PAGE, page=PAGE)
    memory = BufferMemory(space.data, segments)
    virtual = VirtualMemory(PageTables(memory, space.root, paging(space.levels)))
    space.data[6 * MIB : 6 * MIB + 4] = b"high"
    assert virtual.pieces(VMALLOC + 16 * PAGE, 4) == [(1 << 32, 4)]
    assert virtual.read(VMALLOC + 16 * PAGE, 4) == b"high"


def test_more_than_all_ram_is_refused(virtual):
    with pytest.raises(FaultError, match="more than its 0x800000 bytes of RAM"):
        virtual.read(DIRECT, 9 * MIB)


@given(st.integers(0, 4 * PAGE - 1), st.integers(0, 4 * PAGE))
def test_pieces_are_what_a_reader_byte_by_byte_would_find(start, size):
    space = FakeSpace(8 * MIB)
    space.map(VMALLOC, 4 * MIB, PAGE, page=PAGE, flags=LEAF | GLOBAL)
    for index in range(1, 4):
        space.map(VMALLOC + index * PAGE, 5 * MIB - index * PAGE, PAGE, page=PAGE)
    size = min(size, 4 * PAGE - start)
    virtual = VirtualMemory(PageTables(BufferMemory(space.data), space.root, paging()))
    pieces = virtual.pieces(VMALLOC + start, size)
    assert sum(length for _, length in pieces) == size
    at = VMALLOC + start
    for address, length in pieces:
        assert (address, length) == (space.translate(at)[0], length)
        assert space.translate(at + length - 1)[0] == address + length - 1
        at += length
