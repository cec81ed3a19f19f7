# SPDX-License-Identifier: MIT
"""Why no kernel is understood: pieces of RAM laid end to end, RAM that is elsewhere, and others."""

from __future__ import annotations

import pytest

from ntbdbg.errors import ForeignError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.memory import BufferMemory, Segment
from tests.support.fakekernel import FakeGuest
from tests.support.foreignwriter import vmcoreinfo

MIB = 1 << 20


def of(data: bytes) -> BufferMemory:
    return BufferMemory(data, [Segment(0, len(data), 0)])


def test_pieces_laid_end_to_end():
    """As LiME's format raw does: ranges of "System RAM", of which the first is 0x1000-0x9fbff."""
    ram = FakeGuest().memory.read(0, 16 * MIB)
    data = ram[0x1000:0x9FC00] + ram[MIB:]
    with pytest.raises(KernelError) as caught:
        Kernel.open(of(data.ljust(-(-len(data) // 4096) * 4096, b"\0")))
    assert "which is no page: this is RAM in pieces that were laid end to end" in str(caught.value)
    assert "firmware" not in str(caught.value)
    assert "--segments" in str(caught.value)


def test_a_text_at_no_page_that_is_none():
    data = bytearray(2 * MIB)
    for at in range(0x1008, len(data), 4096):
        data[at : at + 10] = b"OSRELEASE="
    with pytest.raises(KernelError, match="no Linux kernel that keeps VMCOREINFO is in its RAM"):
        Kernel.open(of(bytes(data)))


def test_page_tables_in_ram_that_is_elsewhere():
    """As the first of two NUMA nodes' files has it."""
    guest = FakeGuest(ram=16 * MIB, pool=12 * MIB)
    data = bytearray(guest.memory.read(0, 8 * MIB))
    notes: list[str] = []
    assert Kernel.open(of(bytes(data)), notify=notes.append).lost
    names = guest.physical(guest.symbols["init_uts_ns"])
    data[names : names + 390] = bytes(390)
    with pytest.raises(KernelError) as caught:
        Kernel.open(of(bytes(data)))
    for text in (*notes, str(caught.value)):
        assert "is beyond the end of RAM" in text
        assert "or is more of its RAM elsewhere (in another NUMA node's file, hot-plugged)" in text


def test_a_kernel_of_another_architecture_is_the_last_to_be_named():
    data = bytearray(FakeGuest().memory.read(0, 16 * MIB))
    data[15 * MIB : 15 * MIB + 4096] = vmcoreinfo("riscv64").ljust(4096, b"\0")
    assert Kernel.open(of(bytes(data))).others == []
    lone = bytes(4096) + vmcoreinfo("riscv64").ljust(4096, b"\0")
    with pytest.raises(ForeignError) as caught:
        Kernel.open(of(lone))
    assert caught.value.architecture == "riscv64"
