# SPDX-License-Identifier: MIT
"""A guest's RAM with x86-64 page tables in it, written as Linux lays them out.

space = FakeSpace(ram=16 * MIB, levels=5)
space.map(0xFFFFFFFF81000000, 0x200000, 2 * MIB)       # one 2 MiB page: the largest that fits
space.map(0xFFFFC90000000000, 0x400000, 0x2000, page=4096)
space.write(0xFFFFFFFF81000123, b"by virtual address")
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

PAGE = 4096
MIB = 1 << 20
PRESENT, WRITE, USER, ACCESSED, DIRTY, HUGE, GLOBAL = (1 << bit for bit in (0, 1, 2, 5, 6, 7, 8))
NX = 1 << 63
TABLE = PRESENT | WRITE | ACCESSED | DIRTY
LEAF = TABLE | GLOBAL
ADDRESS_MASK = 0x000F_FFFF_FFFF_F000
SIZES = {1: PAGE, 2: 512 * PAGE, 3: 512 * 512 * PAGE}
"""Bytes that one entry maps, by level: a page table's, a page directory's, a PDPT's."""


class FakeSpace:
    """`ram` bytes of guest-physical memory from 0 on, with page tables at `root`.

    :param ram: bytes
    :param levels: 4 or 5
    :param pool: where page tables are taken from; pages, ascending
    :ivar data: the RAM itself; change it at will
    :ivar root: GPA of the top table (what CR3 holds); `swapper_pg_dir` of the fake kernel
    """

    def __init__(self, ram: int, *, levels: int = 4, pool: int = MIB) -> None:
        self.data = bytearray(ram)
        self.levels = levels
        self._pool = pool
        self.root = self._table()

    def map(
        self, va: int, pa: int, size: int, *, page: int | None = None, flags: int = LEAF
    ) -> None:
        """Map `[va, va + size)` to `pa`, by pages of `page` bytes or the largest that fit."""
        end = va + size
        while va < end:
            level = next(
                n
                for n in (3, 2, 1)
                if page == SIZES[n]
                or (page is None and not (va | pa) % SIZES[n] and end - va >= SIZES[n])
            )
            huge = HUGE if level > 1 else 0
            self.poke_u64(self.entry(va, level), pa | flags | huge)
            va += SIZES[level]
            pa += SIZES[level]

    def unmap(self, va: int, level: int = 1) -> None:
        """Clear the entry for `va` in its table of `level`."""
        self.poke_u64(self.entry(va, level), 0)

    def move_root(self, gpa: int) -> None:
        """Have the top table at `gpa` instead, as a kernel has it in its image."""
        self.poke(gpa, self.peek(self.root, PAGE))
        self.poke(self.root, bytes(PAGE))
        self.root = gpa

    def entry(self, va: int, level: int) -> int:
        """GPA of the entry for `va` in its table of `level` (1 is the last); makes the tables."""
        table = self.root
        for depth in range(self.levels, level, -1):
            slot = table + (va >> (3 + 9 * depth) & 511) * 8
            if not self.peek_u64(slot) & PRESENT:
                self.poke_u64(slot, self._table() | TABLE)
            table = self.peek_u64(slot) & ADDRESS_MASK
        return table + (va >> (3 + 9 * level) & 511) * 8

    def translate(self, va: int) -> tuple[int, int]:
        """(GPA, bytes left in that page); AssertionError where nothing is mapped."""
        table = self.root
        for depth in range(self.levels, 0, -1):
            entry = self.peek_u64(table + (va >> (3 + 9 * depth) & 511) * 8)
            assert entry & PRESENT, f"{va:#x} is not mapped"
            if depth == 1 or entry & HUGE:
                inside = va % SIZES[depth]
                return (entry & ADDRESS_MASK & -SIZES[depth]) + inside, SIZES[depth] - inside
            table = entry & ADDRESS_MASK
        raise AssertionError("no level is left")

    def write(self, va: int, data: bytes) -> None:
        """Store by virtual address."""
        for gpa, start, size in self._pieces(va, len(data)):
            self.poke(gpa, data[start : start + size])

    def read(self, va: int, size: int) -> bytes:
        """Bytes at a virtual address."""
        return b"".join(self.peek(gpa, length) for gpa, _, length in self._pieces(va, size))

    def poke(self, gpa: int, data: bytes) -> None:
        """Store by guest-physical address."""
        assert gpa + len(data) <= len(self.data), f"{gpa:#x} is no RAM"
        self.data[gpa : gpa + len(data)] = data

    def peek(self, gpa: int, size: int) -> bytes:
        """Bytes at a guest-physical address."""
        return bytes(self.data[gpa : gpa + size])

    def poke_u64(self, gpa: int, value: int) -> None:
        """Store a little-endian 64-bit number by guest-physical address."""
        self.poke(gpa, struct.pack("<Q", value))

    def peek_u64(self, gpa: int) -> int:
        """The 64-bit number at a guest-physical address."""
        return int.from_bytes(self.peek(gpa, 8), "little")

    def _pieces(self, va: int, size: int) -> Iterator[tuple[int, int, int]]:
        done = 0
        while done < size:
            gpa, left = self.translate(va + done)
            length = min(left, size - done)
            yield gpa, done, length
            done += length

    def _table(self) -> int:
        page, self._pool = self._pool, self._pool + PAGE
        return page
