# SPDX-License-Identifier: MIT
"""Free pages that a processor keeps for itself (``struct per_cpu_pages``, mm/page_alloc.c).

The buddy allocator's free blocks say so in their ``struct page``; these do not: a page on such a
list looks like a further page of a block that is in use. So the lists themselves are walked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.modules.listing import walk_list

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage

MOST_NODES = 64
MOST_ZONES = 16
MOST_LISTS = 64
MOST_ENTRIES = 1 << 16
"""Of one list."""

TYPES = 3
"""``MIGRATE_PCPTYPES``: lists for each order."""

LOW_ORDERS = 4
"""``PAGE_ALLOC_COSTLY_ORDER + 1``: orders that have lists of their own; then comes THP's."""

THP_ORDER = 9
"""``pageblock_order`` on x86-64."""

LIST_HEAD = 16


def percpu_free(kernel: KernelImage) -> Iterator[tuple[int, int]]:
    """VA of the ``struct page`` of each free block on a list, and its order.

    :raises KernelError: this kernel does not tell where its lists are
    """
    member = kernel.info.offset("page.lru")
    if member is None:
        raise KernelError("VMCOREINFO has no OFFSET(page.lru)")
    for head, order in _lists(kernel):
        for node in walk_list(kernel.virtual, head, MOST_ENTRIES, kernel.budget):
            yield node - member, order


def _lists(kernel: KernelImage) -> Iterator[tuple[int, int]]:
    """VA of the head of every list, and the order of what is on it."""
    pages = kernel.layouts["per_cpu_pages"]
    first = pages.find("lists").offset
    count = pages.length("lists", MOST_LISTS)
    for base in _sets(kernel):
        for index in range(count):
            order = index // TYPES
            yield base + first + index * LIST_HEAD, order if order < LOW_ORDERS else THP_ORDER


def _sets(kernel: KernelImage) -> Iterator[int]:
    """VA of the ``struct per_cpu_pages`` of every zone and CPU."""
    node, zone = kernel.layouts["pglist_data"], kernel.layouts["zone"]
    count = node.length("node_zones", MOST_ZONES)
    # 5.14, 28f836b6777b ("mm/page_alloc: split per cpu page lists and zone stats")
    place = zone.find("per_cpu_pageset")
    for address in _nodes(kernel):
        for number in range(count):
            at = address + node.find(f"node_zones[{number}]").offset + place.offset
            pointer = kernel.virtual.word(at)
            if pointer:
                yield from (kernel.percpu(pointer, cpu) for cpu in kernel.online_cpus())


def _nodes(kernel: KernelImage) -> Iterator[int]:
    """VA of the ``struct pglist_data`` of every node."""
    only = kernel.info.symbol("contig_page_data")
    if only is not None:
        yield only
        return
    table = kernel.info.symbol("node_data")
    count = kernel.info.length("node_data") or 0
    if table is None:
        raise KernelError("VMCOREINFO has neither SYMBOL(node_data) nor SYMBOL(contig_page_data)")
    for number in range(min(count, MOST_NODES)):
        try:
            raw = kernel.virtual.read(table + number * 8, 8)
        except FaultError:
            return
        address = int.from_bytes(raw, "little")
        if address:
            yield address
