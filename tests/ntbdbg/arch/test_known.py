# SPDX-License-Identifier: MIT
"""Architectures that are understood, and what x86-64 says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ntbdbg.arch.base import MASK
from ntbdbg.arch.known import ALL, DEFAULT, by_elf, by_name, by_utsname, of_vmcoreinfo
from ntbdbg.arch.machines import MACHINES, Range, visible
from ntbdbg.arch.x86_64 import PTI_USER, X86_64


class Facts:
    """What a kernel tells, as numbers by name."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers

    def number(self, name: str) -> int | None:
        return self.numbers.get(name)

    def needed_number(self, name: str) -> int:
        return self.numbers[name]


def no_variable(name: str) -> None:
    return None


def test_each_is_found_by_all_that_names_it() -> None:
    for arch in ALL:
        assert by_name(arch.name) is by_elf(arch.elf_machine) is arch
        assert by_utsname(arch.name.encode() + b"\0junk") is of_vmcoreinfo({arch.told_by}) is arch
        assert all(MACHINES[machine.name] is machine for machine in arch.machines)
    assert by_name("s390x") is by_elf(22) is by_utsname(b"\xff") is of_vmcoreinfo(()) is None
    assert DEFAULT is X86_64


def test_nobody_else_tells_architectures_apart_by_name() -> None:
    """Whoever compares a name builds in an architecture that is no file of `arch`."""
    package = Path(__file__).parents[3] / "ntbdbg"
    texts = {path: path.read_text() for path in package.rglob("*.py") if "arch" not in path.parts}
    assert texts
    for path, text in texts.items():
        assert '== "x86_64"' not in text, path
        assert '"x86_64" ==' not in text, path


@pytest.mark.parametrize("phys_base", [0, 0x1_0000_0000, -667942912])
def test_the_image_of_x86_is_as_far_from_its_gpa_as_phys_base_says(phys_base: int) -> None:
    start, end = X86_64.image
    offset = X86_64.image_offset(Facts(phys_base=phys_base))
    assert start - offset & MASK == phys_base & MASK
    assert end - start == X86_64.most_moved == 1 << 30


@pytest.mark.parametrize(
    ("levels", "direct_map", "vmemmap"),
    [
        (4, 0xFFFF_8880_0000_0000, 0xFFFF_EA00_0000_0000),
        (5, 0xFF11_0000_0000_0000, 0xFFD4_0000_0000_0000),
    ],
)
def test_where_x86_maps_all_ram_and_its_pages(levels: int, direct_map: int, vmemmap: int) -> None:
    facts = Facts(pgtable_l5_enabled=int(levels == 5))
    assert len(X86_64.geometry(facts).levels) == levels
    assert X86_64.direct_map(facts, no_variable) == direct_map
    assert X86_64.vmemmap(facts, no_variable) == vmemmap
    told = {"page_offset_base": 0x1000, "vmemmap_base": 0x2000}
    assert X86_64.direct_map(facts, told.get) == 0x1000
    assert X86_64.vmemmap(facts, told.get) == 0x2000


def test_cr3_leads_to_both_halves_without_what_is_no_address() -> None:
    encrypted = 1 << 47
    facts = Facts(sme_mask=encrypted)
    assert X86_64.tables(0x8000_0000_0012_3FFF | PTI_USER | encrypted, facts) == (
        0x123000,
        0x122000,
    )


def test_what_registers_of_x86_say() -> None:
    assert not X86_64.is_user({"cs": 0x10})
    assert X86_64.is_user({"cs": 0x33})
    assert X86_64.takes_interrupts({}) is None
    assert X86_64.takes_interrupts({"rflags": 0x202}) is True
    assert X86_64.takes_interrupts({"rflags": 0x002}) is False


def test_notes_of_x86_come_back_as_they_went() -> None:
    notes = X86_64.notes
    registers = {"rip": 0xFFFF_FFFF_8100_0000, "rsp": 0x1000, "cr3": 0x2000, "idt_base": 0x3000}
    own = notes.build_own(registers)
    assert own is not None
    assert registers.items() <= notes.parse_own(own).items()
    assert notes.build_own({"rip": 1, "cr3": 0x2000}) is None
    parsed = notes.parse_prstatus(notes.build_prstatus(registers, 1))
    assert (parsed["rip"], parsed["rsp"]) == (registers["rip"], 0x1000)
    assert notes.parse_prstatus(bytes(392)) == {}


def test_holes_are_cut_out_of_ranges_wherever_they_lie() -> None:
    parts = (Range(0, 0x100, 0), Range(0x200, 0x300, 0x100))
    assert visible(parts, ()) == parts
    assert visible(parts, ((0x80, 0x280),)) == (Range(0, 0x80, 0), Range(0x280, 0x300, 0x180))
    assert visible(parts, ((0x10, 0x20), (0x200, 0x300))) == (
        Range(0, 0x10, 0),
        Range(0x20, 0x100, 0x20),
    )


def test_what_leaves_64_bits_is_not_cut_off() -> None:
    beyond = Range((1 << 64) - 4096, (1 << 64) + 4096, 0)
    assert visible([beyond], ((0xA0000, 0xC0000),)) == (beyond,)
