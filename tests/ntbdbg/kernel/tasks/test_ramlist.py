# SPDX-License-Identifier: MIT
"""RAM that the kernel uses, compared with the RAM that there is."""

from __future__ import annotations

import pytest

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.tasks.ramlist import beyond, beyond_words
from ntbdbg.memory import AddressRange, BufferMemory, Segment
from tests.support.fakekernel import FakeGuest
from tests.support.fakeresources import MEM, FakeResources

MIB, GIB = 1 << 20, 1 << 30
RAM = 16 * MIB


@pytest.fixture
def guest() -> FakeGuest:
    return FakeGuest(ram=RAM)


def missing(guest: FakeGuest) -> list[AddressRange]:
    memory = BufferMemory(guest.memory.read(0, RAM), [Segment(0, RAM, 0)])
    return beyond(Kernel.open(memory, cache=False))


def test_all_of_it_is_here(guest):
    resources = FakeResources(guest)
    resources.add(0x1000, 0x9FC00, "System RAM")
    image = resources.add(MIB, RAM - 0x20000, "System RAM")
    resources.add(2 * MIB, 4 * MIB, "Kernel code", inside=image)
    resources.add(0xFEB0_0000, 0xFEC0_0000, "PCI Bus 0000:00", flags=MEM)
    assert missing(guest) == []


def test_memory_of_others_is_told_by_its_addresses(guest):
    """A further node, a DIMM that was plugged in, CXL memory below its window."""
    resources = FakeResources(guest)
    resources.add(MIB, 2 * RAM, "System RAM")
    resources.add(4 * GIB, 4 * GIB + 256 * MIB, "System RAM")
    window = resources.add(16 * GIB, 32 * GIB, "CXL Window 0", flags=MEM)
    region = resources.add(16 * GIB, 17 * GIB, "region0", flags=MEM, inside=window)
    dax = resources.add(16 * GIB, 17 * GIB, "dax0.0", flags=MEM, inside=region)
    resources.add(16 * GIB, 17 * GIB, "System RAM (kmem)", inside=dax)
    found = missing(guest)
    assert found == [
        AddressRange(RAM, 2 * RAM),
        AddressRange(4 * GIB, 4 * GIB + 256 * MIB),
        AddressRange(16 * GIB, 17 * GIB),
    ]
    assert (beyond_words(Kernel.open(guest.memory, cache=False)) or "").startswith(
        "its kernel uses RAM that is not here: 16 MiB from 0x1000000, 256 MiB from 0x100000000, "
        "1 GiB from 0x400000000 (of another NUMA node, plugged in, CXL, or a wrong memory map?)"
    )


def test_what_a_crash_kernel_has_is_in_no_dump(guest):
    resources = FakeResources(guest)
    whole = resources.add(MIB, 3 * RAM, "System RAM")
    resources.add(RAM, 3 * RAM, "Crash kernel", inside=whole)
    assert missing(guest) == []


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (RAM // 4096, []),
        (2 * RAM // 4096, [AddressRange(RAM, 2 * RAM)]),
        ((5 * GIB) // 4096, [AddressRange(4 * GIB, 5 * GIB)]),
        (1 << 60, []),
    ],
)
def test_where_the_list_is_out_of_reach_its_end_tells(guest, pages, expected):
    resources = FakeResources(guest)
    resources.root["child"] = guest.direct_map + 64 * GIB
    guest.number("max_pfn", pages)
    assert missing(guest) == expected


def test_a_list_in_circles_ends(guest):
    resources = FakeResources(guest)
    first = resources.add(MIB, 2 * MIB, "System RAM")
    second = resources.add(RAM, 2 * RAM, "System RAM")
    second["sibling"] = second["child"] = first
    first["child"] = resources.root
    assert missing(guest) == [AddressRange(RAM, 2 * RAM)]


def test_a_kernel_that_tells_nothing(guest):
    assert missing(guest) == []
    assert beyond_words(Kernel.open(guest.memory, cache=False)) is None
