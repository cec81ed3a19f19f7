# SPDX-License-Identifier: MIT
"""What a kernel uses as RAM, compared with the RAM that there is to be looked at.

Its list of resources (``iomem_resource``, /proc/iomem) has all of it: what firmware told at boot
(``arch/x86/kernel/e820.c``, e820__reserve_resources), memory that was plugged in later
(``mm/memory_hotplug.c``, register_memory_resource), and CXL and other devices' that became RAM
(``drivers/dax/kmem.c``), which lies below their windows. Where the list itself is out of reach,
``max_pfn``, the end of it all, is in the kernel's image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.arch.machines import ABOVE_4G
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.mmu.virtual import read_some
from ntbdbg.memory.segments import AddressRange, merged, without
from ntbdbg.units import PAGE, format_size

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Record
    from ntbdbg.kernel.image.image import KernelImage

SYSTEM_RAM = 0x0100_0200
"""``IORESOURCE_SYSTEM_RAM``: ``IORESOURCE_MEM | IORESOURCE_SYSRAM`` (include/linux/ioport.h)."""

CRASH_KERNEL = b"Crash kernel"
"""The child of RAM that is kept for the kernel that dumps this one, and is in no dump."""

MOST_RESOURCES = 1 << 14
MOST_SHOWN = 4

LOW = 1 << 20
"""Below 1 MiB Linux keeps nothing of its own (since 5.12), and /proc/vmcore leaves it out."""


def beyond_words(kernel: KernelImage) -> str | None:
    """What it uses and is not here, as a sentence's part; None if all is here, as far as known."""
    missing = beyond(kernel)
    if not missing:
        return None
    shown = [f"{format_size(part.size)} from {part.start:#x}" for part in missing[:MOST_SHOWN]]
    more = ", …" if len(missing) > MOST_SHOWN else ""
    return (
        f"its kernel uses RAM that is not here: {', '.join(shown)}{more} (of another NUMA node, "
        "plugged in, CXL, or a wrong memory map?); what lies there is missing in all that is shown"
    )


def beyond(kernel: KernelImage) -> list[AddressRange]:
    """RAM of the kernel that its memory has not, by address; none if nobody can tell."""
    memory = kernel.memory
    used, crash, complete = _listed(kernel)
    if not complete:
        used += _by_end(kernel)
    here = merged([AddressRange(0, LOW), *memory.segments.runs(), *crash])
    missing = without(merged(filter(None, map(_whole_pages, used))), here)
    return list(missing)


def _listed(kernel: KernelImage) -> tuple[list[AddressRange], list[AddressRange], bool]:
    """All "System RAM" of the tree of resources, what a crash kernel has, and if that is all."""
    ram: list[AddressRange] = []
    crash: list[AddressRange] = []
    try:
        for resource in _resources(kernel):
            start, end = resource.number("start"), resource.number("end") + 1
            if start < end and resource.number("flags") & SYSTEM_RAM == SYSTEM_RAM:
                is_crash = _name(kernel, resource).startswith(CRASH_KERNEL)
                (crash if is_crash else ram).append(AddressRange(start, end))
    except (KernelError, FaultError):
        return ram, crash, False
    return ram, crash, True


def _resources(kernel: KernelImage) -> Iterator[Record]:
    layout = kernel.layouts["resource"]
    root = kernel.symbol("iomem_resource").address
    waiting = [layout.read_number(kernel.virtual, root, "child")]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_RESOURCES:
        address = waiting.pop()
        if address and address not in seen:
            seen.add(address)
            resource = layout.parse(kernel.virtual, address)
            yield resource
            waiting += [resource.number("sibling"), resource.number("child")]


def _name(kernel: KernelImage, resource: Record) -> bytes:
    return read_some(kernel.virtual, resource.number("name"), len(CRASH_KERNEL))


def _by_end(kernel: KernelImage) -> list[AddressRange]:
    """From the end of what is here to the end of all RAM, ``max_pfn``."""
    try:
        address = kernel.symbol("max_pfn").address
        end = kernel.virtual.word(address) * PAGE
    except (KernelError, FaultError):
        return []
    last = max((run.end for run in kernel.memory.segments.runs()), default=0)
    if last < ABOVE_4G < end:
        last = ABOVE_4G
    return [AddressRange(last, end)] if last < end <= kernel.tables.geometry.physical else []


def _whole_pages(part: AddressRange) -> AddressRange | None:
    start, end = -(-part.start // PAGE) * PAGE, part.end // PAGE * PAGE
    return AddressRange(start, end) if start < end else None
