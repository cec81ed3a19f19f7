# SPDX-License-Identifier: MIT
"""Who owns a page of physical memory, by the kernel's ``struct page`` of it.

Offsets and constants come from VMCOREINFO, slab caches from BTF. What neither tells is left
out: an owner is a hint for people, never a fact that something else builds on.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import KernelError, NtbdbgError
from ntbdbg.kernel.tasks.freelists import percpu_free
from ntbdbg.kernel.tasks.structpage import PageTypes, StructPage
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.reader import Btf
    from ntbdbg.kernel.image.image import KernelImage

LARGEST = 256
"""Bytes of a ``struct page``; real ones have 64."""

MAX_ORDER = 10
"""The buddy allocator's free blocks have at most ``2 ** MAX_ORDER`` pages."""

LONGEST_NAME = 64
"""Bytes of a slab cache's name."""

ANONYMOUS, MOVABLE = 1, 2
"""Low bits of ``page.mapping`` (``include/linux/page-flags.h``)."""


class PageOwner(NamedTuple):
    """What a page is used for.

    :ivar kind: ``slab``, ``page cache``, ``anonymous``, ``movable``, ``page table``, ``free``,
        ``reserved``, ``offline``, or ``allocated`` by whoever asked for pages
    :ivar detail: the name of a slab cache, else None
    """

    kind: str
    detail: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}" if self.detail else self.kind


class PageMap:
    """The array of ``struct page`` of `kernel`."""

    def __init__(self, kernel: KernelImage) -> None:
        self._kernel = kernel
        self._info = kernel.info
        self._size = kernel.info.size("page") or 0

    def owner(self, address: int) -> PageOwner | None:
        """Who has the page at a GPA; None if the kernel does not tell, or in no known way."""
        number = address // PAGE
        page = self._page(number)
        if page is None:
            return None
        page = self._head(page) or page
        return self._typed(page) or self._plain(page, number)

    def _typed(self, page: StructPage) -> PageOwner | None:
        """Of pages that say themselves what they are."""
        types = self._types
        if page.flag(self._info.number("PG_slab")) or page.is_a(types.slab):
            return PageOwner("slab", self._cache_name(page))
        kinds = {"page table": types.table, "free": types.buddy, "offline": types.offline}
        return next((PageOwner(name) for name, kind in kinds.items() if page.is_a(kind)), None)

    def _plain(self, page: StructPage, number: int) -> PageOwner | None:
        """Of the others, by count and mapping."""
        if page.flag(self._reserved):
            return PageOwner("reserved")
        if page.number("_refcount", 4) == 0:
            is_free = self._in_free_block(number) or self._on_a_cpus_list(number)
            return PageOwner("free") if is_free else None
        mapping = page.number("mapping", 8)
        if mapping is None or not mapping >> 63:
            return PageOwner("allocated")
        if mapping & ANONYMOUS:
            return PageOwner("anonymous")
        return PageOwner("movable" if mapping & MOVABLE else "page cache")

    def _in_free_block(self, number: int) -> bool:
        """Whether the page is in a block of the buddy allocator, whose first page alone says so."""
        for order in range(1, MAX_ORDER + 1):
            first = self._page(number & -(1 << order))
            if first is not None and first.is_a(self._types.buddy):
                return (first.number("private", 8) or 0) >= order
        return False

    def _on_a_cpus_list(self, number: int) -> bool:
        """Whether a processor keeps the page for its next allocation."""
        kept = self._kept_by_order.items()
        return any(number >> order << order in numbers for order, numbers in kept)

    @cached_property
    def _kept_by_order(self) -> dict[int, set[int]]:
        """Numbers of the first pages of blocks on the processors' lists, by order."""
        found: dict[int, set[int]] = {}
        try:
            for address, order in percpu_free(self._kernel):
                number, rest = divmod(address - self._start, self._size)
                if not rest:
                    found.setdefault(order, set()).add(number)
        except NtbdbgError:
            pass  # an owner is a hint: what cannot be told is left out
        return found

    def _page(self, number: int) -> StructPage | None:
        return self._at(self._start + number * self._size)

    def _head(self, page: StructPage) -> StructPage | None:
        """The first page of the compound page that `page` is in, unless that is itself."""
        head = page.number("compound_head", 8) or 0
        if not head & 1 or (head - 1 - self._start) % self._size:
            return None
        return self._at(head - 1)

    def _at(self, address: int) -> StructPage | None:
        """The ``struct page`` at a VA, None if none is there."""
        raw = self._read(address, self._size) if 0 < self._size <= LARGEST else b""
        return StructPage(self._info, raw) if raw else None

    def _cache_name(self, page: StructPage) -> str | None:
        """Name of the cache that a slab belongs to, None if it cannot be told."""
        if self._slab_members is None:
            return None
        cache_at, name_at = self._slab_members
        cache = int.from_bytes(page.raw[cache_at : cache_at + 8], "little")
        name = int.from_bytes(self._read(cache + name_at, 8), "little")
        raw = self._read(name, min(LONGEST_NAME, PAGE - name % PAGE)).partition(b"\0")[0]
        text = raw.decode("latin-1")
        return text if text.isascii() and text.isprintable() and text else None

    def _read(self, address: int, size: int) -> bytes:
        """Bytes at a VA; none if it leads nowhere."""
        try:
            return self._kernel.virtual.read(address, size)
        except NtbdbgError:
            return b""

    @cached_property
    def _start(self) -> int:
        """VA of the ``struct page`` of the first page."""
        try:
            return self._kernel.arch.vmemmap(self._kernel.info, self._kernel.variable)
        except NtbdbgError:
            return 0

    @cached_property
    def _btf(self) -> Btf | None:
        try:
            return self._kernel.btf
        except NtbdbgError:
            return None

    @cached_property
    def _types(self) -> PageTypes:
        return PageTypes.of(self._info, self._btf)

    @cached_property
    def _reserved(self) -> int | None:
        """Number of the flag ``PG_reserved``."""
        found = self._btf.enumerator("PG_reserved") if self._btf else None
        return found[1] if found else None

    @cached_property
    def _slab_members(self) -> tuple[int, int] | None:
        """Where ``slab.slab_cache`` is (``page.slab_cache`` before 5.17), and a cache's name."""
        if self._btf is None:
            return None
        for owner in ("slab", "page"):
            try:
                layouts = self._kernel.layouts
                cache = layouts[owner].find("slab_cache").offset
                return cache, layouts["kmem_cache"].find("name").offset
            except KernelError:
                continue
        return None
