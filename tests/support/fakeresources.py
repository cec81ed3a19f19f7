# SPDX-License-Identifier: MIT
"""The tree of resources in a fake guest, as /proc/iomem shows it.

resources = FakeResources(guest)
ram = resources.add(0x100000, 0x1000000, "System RAM")
resources.add(0x200000, 0x300000, "Kernel code", inside=ram)
"""

from __future__ import annotations

from tests.support.fakekernel import FakeGuest, FakeStruct

TYPES = """
struct resource {
    resource_size_t start, end; char *name; unsigned long flags; unsigned long desc;
    struct resource *parent, *sibling, *child;
};
"""
MEM, BUSY_RAM = 0x200, 0x8100_0200
"""IORESOURCE_MEM; IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY"""


class FakeResources:
    """``iomem_resource``; add what is in it in order of addresses."""

    def __init__(self, guest: FakeGuest) -> None:
        self.guest = guest
        guest.types.declare(TYPES)
        self.root = guest.variable("iomem_resource", "struct resource", end=(1 << 46) - 1)
        self._last: dict[int, FakeStruct] = {}

    def add(
        self,
        start: int,
        end: int,
        name: str,
        *,
        flags: int = BUSY_RAM,
        inside: FakeStruct | None = None,
    ) -> FakeStruct:
        """`[start, end)` below `inside`, by default the root."""
        parent = inside or self.root
        made = self.guest.new("struct resource", start=start, end=end - 1, flags=flags)
        made.set(name=self.guest.text(name), parent=parent)
        before = self._last.get(parent.address)
        if before is None:
            parent["child"] = made
        else:
            before["sibling"] = made
        self._last[parent.address] = made
        return made
