# SPDX-License-Identifier: MIT
"""The array of ``struct page`` of a fake guest, as Linux 6.1 or 6.12 fills it.

pages = FakePages(guest)                        # before the guest's memory is asked for
pages.slab(gpa, "kmalloc-64")
pages.set(gpa, flags=1 << PG_RESERVED, _refcount=1)
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakespace import PAGE

PG_SLAB, PG_RESERVED = 9, 11

DECLARATIONS = """
enum pageflags { PG_locked, PG_slab = 9, PG_reserved = 11 };
struct kmem_cache { void *cpu_slab; unsigned long flags; const char *name; };
struct page {
    unsigned long flags;
    union { unsigned long compound_head; unsigned long lru; };
    unsigned long prev;
    unsigned long mapping;
    unsigned long index;
    unsigned long private;
    union { int _mapcount; unsigned int page_type; };
    atomic_t _refcount;
};
struct slab { unsigned long flags; struct kmem_cache *slab_cache; };
"""
LISTS = 13
ZONES = f"""
struct per_cpu_pages {{ int count; struct list_head lists[{LISTS}]; }};
struct zone {{ unsigned long watermark; struct per_cpu_pages *per_cpu_pageset; }};
struct pglist_data {{ struct zone node_zones[2]; }};
"""
"""Since Linux 5.14."""

MEMBERS = ("flags", "_refcount", "mapping", "lru", "_mapcount", "private", "compound_head")

BIT_TYPES = {"BUDDY": ~0x80, "OFFLINE": ~0x100, "TABLE": ~0x200}
"""Linux 6.1."""

BYTE_TYPES = {"BUDDY": 0xF0 << 24, "OFFLINE": 0xF1 << 24, "TABLE": 0xF2 << 24, "SLAB": 0xF5 << 24}
"""Linux 6.12, where slabs have a type in place of a flag."""


class FakePages:
    """All pages of `guest`; those that are not set are in use by nobody known.

    :param types: `BIT_TYPES` or `BYTE_TYPES`
    """

    def __init__(self, guest: FakeGuest, types: dict[str, int] = BIT_TYPES) -> None:
        self.guest = guest
        self.types = types
        guest.types.declare(DECLARATIONS)
        if types is BYTE_TYPES:
            guest.types.declare("enum pagetype { PGTY_buddy = 0xf0, PGTY_table = 0xf2 };")
        self.kind = guest.types["struct page"]
        count = len(guest.space.data) // PAGE
        self.start = guest.alloc(count * self.kind.size, align=PAGE)
        guest.number("vmemmap_base", self.start)
        guest.extra += [
            f"SIZE(page)={self.kind.size}",
            *(f"OFFSET(page.{name})={self.kind.find(name)[0]}" for name in MEMBERS),
            *(
                f"NUMBER(PAGE_{name}_MAPCOUNT_VALUE)={value}"
                for name, value in types.items()
                if name != "TABLE"
            ),
        ]
        if "SLAB" not in types:
            guest.extra.append(f"NUMBER(PG_slab)={PG_SLAB}")
        for number in range(count):
            self.set(number * PAGE, _mapcount=-1)

    def at(self, gpa: int) -> FakeStruct:
        """The ``struct page`` of a GPA."""
        va = self.start + gpa // PAGE * self.kind.size
        return FakeStruct(self.guest.space, self.kind, va)

    def set(self, gpa: int, **members: int) -> FakeStruct:
        """Change members; ``_refcount`` takes a number."""
        page = self.at(gpa)
        count = members.pop("_refcount", None)
        page.set(**members)
        if count is not None:
            page["_refcount.counter"] = count
        return page

    def typed(self, gpa: int, name: str, **members: int) -> None:
        """A page that says what it is: ``BUDDY``, ``OFFLINE``, ``TABLE``."""
        self.set(gpa, page_type=self.types[name], **members)

    def keep(self, blocks: Mapping[int, int]) -> None:
        """Free blocks (GPA → order) that CPU 0 keeps: one node, one zone."""
        guest = self.guest
        guest.types.declare(ZONES)
        kept = guest.new("struct per_cpu_pages")
        for index in range(LISTS):
            kept.empty_list(f"lists[{index}]")
        for gpa, order in blocks.items():
            page = self.set(gpa, _refcount=0)
            head = kept.at(f"lists[{order * 3}]")
            page["lru"], page["prev"] = kept[f"lists[{order * 3}].next"], head
            kept[f"lists[{order * 3}].next"] = page.at("lru")
        node = guest.new("struct pglist_data")
        pointer = (kept.address - guest.percpu_areas[0]) % (1 << 64)
        node["node_zones[0].per_cpu_pageset"] = pointer
        guest.extra.append(f"SYMBOL(contig_page_data)={node.address:x}")

    def slab(self, gpa: int, name: bytes) -> FakeStruct:
        """A slab of a new cache of that name; gives the cache."""
        text = self.guest.alloc(len(name) + 1)
        self.guest.space.write(text, name + b"\0")
        cache = self.guest.new("struct kmem_cache", name=text)
        page = self.set(gpa, _refcount=1)
        if "SLAB" in self.types:
            page["page_type"] = self.types["SLAB"]
        else:
            page["flags"] = 1 << PG_SLAB
        FakeStruct(page.space, self.guest.types["struct slab"], page.address)["slab_cache"] = cache
        return cache

    def compound(self, gpa: int, count: int) -> None:
        """Make the pages behind the one at `gpa` tails of it."""
        for tail in range(1, count):
            self.set(gpa + tail * PAGE, compound_head=self.at(gpa).address | 1)
