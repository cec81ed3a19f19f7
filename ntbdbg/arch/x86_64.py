# SPDX-License-Identifier: MIT
"""x86-64: its page tables, kernel's addresses and registers.

Sources: Intel SDM volume 3A, section 5.5 "4-level paging and 5-level paging"; Linux
``arch/x86/include/asm/page_64_types.h``, ``pgtable_64_types.h`` and
``Documentation/arch/x86/x86_64/mm.rst``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ntbdbg.arch.base import (
    MASK,
    Architecture,
    Facts,
    Geometry,
    Level,
    Notes,
    Refused,
    Registers,
    Rights,
    Values,
    Variable,
)
from ntbdbg.arch.machines import PC, Q35

# -- page tables ---------------------------------------------------------------------------

PRESENT, WRITABLE, USER, LARGE, NO_EXECUTE = 1 << 0, 1 << 1, 1 << 2, 1 << 7, 1 << 63
MOST_PHYSICAL = 1 << 52
ADDRESS_BITS = (MOST_PHYSICAL - 1) & ~0xFFF
PAT = 1 << 12
"""Of a large page; the bits between it and the address are reserved."""

LARGEST_LEVEL = 2
"""The highest that has pages, of 1 GiB."""

_FLAGS = (
    (PRESENT, "P"),
    (WRITABLE, "RW"),
    (USER, "US"),
    (1 << 3, "PWT"),
    (1 << 4, "PCD"),
    (1 << 5, "A"),
    (1 << 6, "D"),
    (1 << 8, "G"),
    (NO_EXECUTE, "NX"),
)


class _Paging(Geometry):
    def page(self, virtual: int, entry: int, level: int) -> int:
        if not entry & PRESENT:
            raise Refused("is not present")
        if level == 0:
            return entry & ADDRESS_BITS
        if level > LARGEST_LEVEL:
            raise Refused("has reserved bit 7 set")
        inside = (1 << self.levels[level].shift) - 1
        reserved = entry & ADDRESS_BITS & inside & ~PAT
        if reserved:
            raise Refused(f"has reserved bits {reserved:#x} set")
        return entry & ADDRESS_BITS & ~inside

    def flags(self, entry: int, level: int) -> tuple[str, ...]:
        names = [name for bit, name in _FLAGS if entry & bit]
        if entry & LARGE:
            names.append("PAT" if level == 0 else "PS")
        return tuple(names)

    def rights(self, entry: int, level: int) -> Rights:
        return Rights(bool(entry & WRITABLE), bool(entry & USER), not entry & NO_EXECUTE)


@cache
def paging(levels: int = 4, encrypted: int = 0) -> Geometry:
    """Page tables of 4 or 5 levels; with 4 Linux folds the p4d away.

    :param encrypted: bits of entries that are no part of an address: AMD's "encrypted" bit
    """
    if levels not in (4, 5):
        raise ValueError(f"{levels} levels")
    names = ("pte", "pmd", "pud", "p4d")[: levels - 1]
    shifts = range(12, 12 + 9 * levels, 9)
    return _Paging(
        levels=tuple(Level(*row, 9) for row in zip((*names, "pgd"), shifts, strict=True)),
        significant=12 + 9 * levels,
        alike=11 + 9 * levels,
        physical=MOST_PHYSICAL,
        present=PRESENT,
        to_table=(PRESENT | LARGE, PRESENT),
        address=ADDRESS_BITS,
        ignored=encrypted,
    )


# -- the kernel's addresses ----------------------------------------------------------------

START_KERNEL_MAP = 0xFFFF_FFFF_8000_0000
"""Where the kernel is linked: ``__START_KERNEL_map``."""

KERNEL_IMAGE_SIZE = 1 << 30
"""At most; modules lie behind it, up to the end."""

DIRECT_MAP = {False: 0xFFFF_8880_0000_0000, True: 0xFF11_0000_0000_0000}
"""``__PAGE_OFFSET_BASE_L4`` and ``_L5``, where KASLR does not move it."""

VMEMMAP = {False: 0xFFFF_EA00_0000_0000, True: 0xFFD4_0000_0000_0000}
"""``__VMEMMAP_BASE_L4`` and ``_L5``, likewise."""

CR3_ADDRESS = ADDRESS_BITS
PTI_USER = 1 << 12
"""In CR3 with page table isolation: the half that maps little of the kernel lies behind the other
(``PTI_USER_PGTABLE_BIT``, ``arch/x86/mm/pti.c``)."""

USER_RING = 3
INTERRUPT_FLAG = 1 << 9
"""IF of RFLAGS (Intel SDM vol. 1, 3.4.3.3)."""


class X86(Architecture):
    """Its kernels are those of PCs; see `Architecture`."""

    name = "x86_64"
    elf_machine = 62
    drgn = "X86_64"
    machines = (Q35, PC)
    told_by = "NUMBER(phys_base)"
    image = (START_KERNEL_MAP, START_KERNEL_MAP + KERNEL_IMAGE_SIZE)
    most_moved = KERNEL_IMAGE_SIZE
    direct_maps = (0xFF11_0000_0000_0000, 0xFFFF_C900_0000_0000)
    modules = START_KERNEL_MAP
    registers = Registers(
        pc="rip",
        stack="rsp",
        frame="rbp",
        root="cr3",
        needed=("rip", "rsp", "rbp", "rflags", "cr3", "cs_base", "gs_base"),
    )

    @property
    def notes(self) -> Notes:
        from ntbdbg.arch.x86 import notes

        return notes

    def monitored(self, text: str) -> Iterator[tuple[int, dict[str, int]]]:
        from ntbdbg.arch.x86.monitor import processors

        return processors(text)

    def geometry(self, facts: Facts) -> Geometry:
        return paging(5 if _has_5_levels(facts) else 4, _encrypted(facts))

    def image_offset(self, facts: Facts) -> int:
        """By ``phys_base``: what `START_KERNEL_MAP` is mapped to, less what it was linked for."""
        return START_KERNEL_MAP - facts.needed_number("phys_base") & MASK

    def direct_map(self, facts: Facts, variable: Variable) -> int:
        told = variable("page_offset_base")
        return DIRECT_MAP[_has_5_levels(facts)] if told is None else told

    def vmemmap(self, facts: Facts, variable: Variable) -> int:
        told = variable("vmemmap_base")
        return VMEMMAP[_has_5_levels(facts)] if told is None else told

    def tables(self, root: int, facts: Facts) -> tuple[int, ...]:
        place = root & CR3_ADDRESS & ~_encrypted(facts)
        return place, place & ~PTI_USER

    def takes_interrupts(self, registers: Values) -> bool | None:
        flags = registers.get("rflags")
        return None if flags is None else bool(flags & INTERRUPT_FLAG)

    def is_user(self, registers: Values) -> bool:
        return bool(registers.get("cs", 0) & USER_RING)


def _has_5_levels(facts: Facts) -> bool:
    return bool(facts.number("pgtable_l5_enabled"))


def _encrypted(facts: Facts) -> int:
    """The bit of page table entries that means "encrypted" (AMD SME), or 0."""
    return (facts.number("sme_mask") or 0) & MASK


X86_64 = X86()
