# SPDX-License-Identifier: MIT
"""Golden pictures of translations."""

from __future__ import annotations

from ntbdbg.analysis.reached import Inbound, Outbound
from ntbdbg.analysis.translation import Translation
from ntbdbg.arch.x86_64 import paging
from ntbdbg.kernel.mmu.paging import PageTables
from ntbdbg.memory import AddressRange, BufferMemory
from ntbdbg.render.translate import TranslationView
from tests.support.fakespace import FakeSpace
from tests.support.picture import shown

MIB = 1 << 20
VA = 0xFFFF_8880_0000_0000


def walk(virtual: int):
    space = FakeSpace(8 * MIB)
    space.map(VA, 4 * MIB, 4096, page=4096)
    return PageTables(BufferMemory(space.data, name="qemu1"), space.root, paging()).walk(virtual)


def test_a_walk_and_its_end() -> None:
    found = Translation(
        "qemu1",
        None,
        "idt_thread_isr+0x40 [ntb_hw_idt]",
        walk(VA + 0x40),
        4 * MIB + 0x40,
        "/dev/shm/qemu1",
        4 * MIB + 0x40,
        windows=(
            Inbound("qemu2:mw0", AddressRange(4 * MIB, 6 * MIB), "", 0x1000),
            Inbound("qemu3:mw0", AddressRange(4 * MIB, 6 * MIB), "limit 0", 0),
        ),
    )
    assert (
        shown(TranslationView(found))
        == """\
qemu1: 0xffff888000000040  idt_thread_isr+0x40 [ntb_hw_idt]
LEVEL  TABLE     INDEX  ENTRY               FLAGS
pgd    0x100000    273  0x0000000000101063  P RW A D
pud    0x101000      0  0x0000000000102063  P RW A D
pmd    0x102000      0  0x0000000000103063  P RW A D
pte    0x103000      0  0x0000000000400163  P RW A D G
page        4 KiB at 0x400000, writable, executable
physical    qemu1:0x400040
RAM file    /dev/shm/qemu1 + 0x400040
reached by  qemu2:mw0+0x1040
reached by  qemu3:mw0+0x40, closed: limit 0"""
    )


def test_a_walk_that_fails() -> None:
    found = Translation("qemu1", None, None, walk(VA + 0x1000), None)
    assert (
        shown(TranslationView(found), width=60)
        == """\
qemu1: 0xffff888000001000
LEVEL  TABLE     INDEX  ENTRY               FLAGS
pgd    0x100000    273  0x0000000000101063  P RW A D
pud    0x101000      0  0x0000000000102063  P RW A D
pmd    0x102000      0  0x0000000000103063  P RW A D
pte    0x103000      1  0x0000000000000000  -
page  is not mapped: its pte entry 0x0 is not present"""
    )


def test_an_address_in_a_window() -> None:
    out = Outbound("qemu1:mw0", 0x40, "qemu2", 0x2000040, "")
    found = Translation(
        "qemu1", None, None, None, 0xFE000040, no_ram="is in the PCI hole", outbound=out
    )
    assert (
        shown(TranslationView(found))
        == """\
physical  qemu1:0xfe000040
RAM       none: it is in the PCI hole
window    qemu1:mw0+0x40, which reaches qemu2:0x2000040"""
    )
