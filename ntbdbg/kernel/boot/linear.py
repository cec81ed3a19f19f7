# SPDX-License-Identifier: MIT
"""A kernel's addresses without its page tables: what lies at a known distance from its GPA.

A kernel's image is mapped in one piece, and all of RAM once more, in the direct map, of which
variables of the image tell where it is. What is mapped page by page cannot be had: vmalloc,
modules, stacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError, UsageError
from ntbdbg.kernel.mmu.paging import PageTables, Run, Walk
from ntbdbg.memory.segments import AddressRange
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

LARGEST = 1 << 46
"""Bytes of RAM that are looked for in the direct map."""

_UTS_FIELD = 65  # __NEW_UTS_LEN + 1: sysname, nodename, release, …

Lookup = Callable[[], int | None]


class LinearMap(PageTables):
    """Stands for page tables that are gone.

    :param direct: finds the start of the direct map, asked once, for the first address beyond
        the image; it may use this very map
    """

    def __init__(self, memory: PhysicalMemory, info: Vmcoreinfo, direct: Lookup) -> None:
        super().__init__(memory, 0, info.geometry)
        self._image = AddressRange(*info.arch.image)
        self._image_shift = info.image_to_physical(self._image.start) - self._image.start
        self._direct_maps = AddressRange(*info.arch.direct_maps)
        self._find_direct: Lookup | None = direct
        self._direct: AddressRange | None = None

    def walk(self, virtual: int) -> Walk:
        try:
            address, _ = self.translate(virtual)
        except FaultError as error:
            return Walk(virtual, (), None, 0, error.reason)
        return Walk(virtual, (), address, PAGE, None)

    def translate(self, virtual: int) -> tuple[int, int]:
        area, shift = self._area(virtual)
        return virtual + shift & (1 << 64) - 1, area.end - virtual

    def runs(self, virtual: int, size: int) -> Iterator[Run]:
        while size > 0:
            address, length = self.translate(virtual)
            length = min(length, size)
            yield Run(virtual, address, length)
            virtual, size = virtual + length, size - length

    def mapped(self, virtual: int, size: int, *, most_tables: int) -> Iterator[Run]:
        self._check(virtual)
        for area in (self._direct, self._image):
            part = area and area.overlap(AddressRange(virtual, virtual + size))
            if part:
                yield Run(part.start, self.translate(part.start)[0], part.size)

    def _area(self, virtual: int) -> tuple[AddressRange, int]:
        """Which of the two maps a VA is in, and what leads from there to a GPA."""
        if virtual in self._image:
            return self._image, self._image_shift
        self._check(virtual)
        if self._direct is not None and virtual in self._direct:
            return self._direct, -self._direct.start
        where = "in the kernel's image" + (" or its direct map" if self._direct else "")
        reason = f"is not {where}, and the kernel's page tables are gone"
        raise FaultError(self.memory.name, virtual, 1, reason)

    def _check(self, virtual: int) -> None:
        """Look for the direct map, once."""
        find, self._find_direct = self._find_direct, None
        start = find() if find else None
        if start is not None and start in self._direct_maps and start % PAGE == 0:
            self._direct = AddressRange(start, start + LARGEST)


def is_in_place(memory: PhysicalMemory, info: Vmcoreinfo) -> bool:
    """Whether the image lies where `info` says: ``init_uts_ns`` there names the same release."""
    namespace = info.symbol("init_uts_ns")
    offset = info.offset("uts_namespace.name")
    if namespace is None or offset is None:
        return False
    try:
        address = info.image_to_physical(namespace + offset + 2 * _UTS_FIELD)
        raw = memory.read(address, _UTS_FIELD)
    except (FaultError, KernelError, UsageError):
        return False
    return raw.partition(b"\0")[0].decode("latin-1") == info.release
