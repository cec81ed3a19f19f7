# SPDX-License-Identifier: MIT
"""What the addresses of a kernel are called, and which addresses its physical memory has.

A `Naming` belongs to one moment, as the `Symbolizer` that it asks.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.units import PAGE, label

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage

MOST_MODULE_PAGES = 1 << 16
"""Pages of modules that are looked at to name physical addresses: 256 MiB."""


class Name(NamedTuple):
    """A symbol that an address lies in.

    :ivar symbol: ``jiffies``, ``idt_thread_isr [ntb_hw_idt]``, ``runqueues@1``
    :ivar offset: of the address from the symbol's start
    :ivar left: bytes from the address to the symbol's end
    """

    symbol: str
    offset: int
    left: int

    def __str__(self) -> str:
        return label(self.symbol, self.offset)


class Naming:
    """Names for the addresses of `kernel`, virtual and physical."""

    def __init__(self, kernel: KernelImage) -> None:
        self._kernel = kernel
        self._now = Symbolizer(kernel)

    def name(self, address: int) -> Name | None:
        """The symbol that a VA lies in, None if it lies in none."""
        found = self._now.find(address)
        if found is None:
            return self._percpu_name(address)
        symbol, offset = found
        if offset >= max(symbol.size, 1):
            return None
        return Name(symbol.title, offset, max(symbol.size, 1) - offset)

    def virtual(self, address: int) -> int | None:
        """The VA by which the kernel knows a GPA; None if it has none that is mapped.

        Of several that of the image or of a module, whose symbols name it, else that in the
        direct map.
        """
        candidates = (
            self._in_image(address),
            self._in_module(address),
            self.direct_map + address,
        )
        for candidate in candidates:
            if candidate is not None and self._leads_to(candidate, address):
                return candidate
        return None

    @cached_property
    def direct_map(self) -> int:
        """VA of guest-physical address 0."""
        return self._kernel.arch.direct_map(self._kernel.info, self._kernel.variable)

    def _leads_to(self, virtual: int, address: int) -> bool:
        walk = self._kernel.tables.walk(virtual) if 0 <= virtual < 1 << 64 else None
        return walk is not None and walk.address == address

    def _in_image(self, address: int) -> int | None:
        virtual = address + self._image_offset
        # What only booting needed is given to others afterwards, its symbols mislead.
        start, end = self._range("__init_begin", "__init_end")
        return None if start <= virtual < end else virtual

    @cached_property
    def _image_offset(self) -> int:
        return self._kernel.arch.image_offset(self._kernel.info)

    def _in_module(self, address: int) -> int | None:
        start = self._module_pages.get(address // PAGE)
        return None if start is None else start + address % PAGE

    @cached_property
    def _module_pages(self) -> dict[int, int]:
        """VA of each page of a module, by its physical page number."""
        found: dict[int, int] = {}
        regions = (region for module in self._now.modules for region in module.regions)
        pages = (
            virtual
            for region in regions
            for virtual in range(region.start & -PAGE, region.end, PAGE)
        )
        for virtual in itertools.islice(pages, MOST_MODULE_PAGES):
            walk = self._kernel.tables.walk(virtual)
            if walk.address is not None:
                found.setdefault(walk.address // PAGE, virtual)
        return found

    def _percpu_name(self, address: int) -> Name | None:
        for cpu, offset in self._percpu_offsets:
            symbol = self._percpu_symbol((address - offset) & (1 << 64) - 1)
            if symbol is not None:
                return symbol._replace(symbol=f"{symbol.symbol}@{cpu}")
        return None

    def _percpu_symbol(self, place: int) -> Name | None:
        """The per-CPU variable at a place in every CPU's area."""
        start, end = self._range("__per_cpu_start", "__per_cpu_end")
        symbol = self._kernel.table.at(place) if start <= place < end else None
        if symbol is None or place - symbol.address >= symbol.size:
            return None
        offset = place - symbol.address
        return Name(symbol.name, offset, symbol.size - offset)

    def _range(self, *edges: str) -> tuple[int, int]:
        """Addresses of two symbols of vmlinux; an empty range if it lacks one."""
        start, end = (self._kernel.table.named(edge) for edge in edges)
        return (start[0].address, end[0].address) if start and end else (0, 0)

    @cached_property
    def _percpu_offsets(self) -> list[tuple[int, int]]:
        """Each CPU, and what its area is away from the places that symbols tell."""
        try:
            cpus = self._kernel.cpus()
            table = self._kernel.symbol("__per_cpu_offset").address
            raw = self._kernel.virtual.read(table, 8 * (max(cpus, default=0) + 1))
        except (KernelError, FaultError):
            return []
        return [(cpu, int.from_bytes(raw[8 * cpu : 8 * cpu + 8], "little")) for cpu in cpus]
