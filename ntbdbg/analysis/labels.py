# SPDX-License-Identifier: MIT
"""What the bytes of a guest are: symbols, owners of pages, windows that lead to them.

A `Labels` belongs to one command: it remembers what it has found out about a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import NtbdbgError
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.analysis.reached import Inbound
    from ntbdbg.kernel.asked.naming import Name, Naming
    from ntbdbg.kernel.tasks.pages import PageMap, PageOwner
    from ntbdbg.lab.place import GuestLike
    from ntbdbg.memory.base import PhysicalMemory

STEP = 16
"""Bytes after which a place that no symbol has is looked at again: one may start there."""

MOST_PAGES = 1024
"""Pages remembered at once."""


class Label(NamedTuple):
    """What `[start, end)` is, all of it the same.

    :ivar start: in the memory that is labelled: virtual or guest-physical
    :ivar symbol: ``jiffies``, ``idt_thread_isr [ntb_hw_idt]``, ``runqueues@1``, or None
    :ivar offset: of `start` in that symbol
    :ivar owner: of the page, where no symbol says what it is: ``slab kmalloc-64``; or None
    :ivar windows: open windows of other guests that lead there, with the offset of `start` in each
    """

    start: int
    end: int
    symbol: str | None = None
    offset: int = 0
    owner: str | None = None
    windows: tuple[tuple[str, int], ...] = ()

    def at(self, address: int) -> Label:
        """The rest of it from `address` on."""
        skip = address - self.start
        windows = tuple((name, offset + skip) for name, offset in self.windows)
        offset = self.offset + skip if self.symbol else 0
        return self._replace(start=address, offset=offset, windows=windows)

    def goes_on(self, other: Label) -> bool:
        """Whether `other` is more of the same."""
        return self.end == other.start and self.at(self.end) == other._replace(end=self.end)

    @property
    def says_something(self) -> bool:
        """Whether anything is known."""
        return bool(self.symbol or self.owner or self.windows)


class _Page(NamedTuple):
    """What all bytes of a page have in common; None for what is not there or not known."""

    virtual: int | None
    physical: int | None
    owner: str | None


class Labels:
    """Labels for the addresses of `memory`.

    :param memory: the guest's physical memory, or its kernel's virtual one
    """

    def __init__(self, guest: GuestLike, memory: PhysicalMemory) -> None:
        self._guest = guest
        self._is_virtual = memory is not guest.memory
        self._pages: dict[int, _Page] = {}

    def of(self, address: int, size: int) -> Iterator[Label]:
        """Labels of `[address, address + size)`, adjoining, in order."""
        last: Label | None = None
        while size > 0:
            label = self._label(address, size)
            size -= label.end - address
            address = label.end
            if last is not None and last.goes_on(label):
                last = last._replace(end=label.end)
                continue
            if last is not None:
                yield last
            last = label
        if last is not None:
            yield last

    def _label(self, address: int, size: int) -> Label:
        """The longest label from `address` on that is known at once."""
        inside = address % PAGE
        page = self._page(address - inside)
        end = address + min(size, PAGE - inside)
        name = self._name(page, inside)
        end = min(end, address + (name.left if name else STEP - inside % STEP))
        physical = None if page.physical is None else page.physical + inside
        windows, room = self._windows(physical)
        end = min(end, address + room) if room else end
        if name:
            return Label(address, end, name.symbol, name.offset, None, windows)
        return Label(address, end, owner=page.owner, windows=windows)

    def _name(self, page: _Page, inside: int) -> Name | None:
        if self._kernel is None or page.virtual is None:
            return None
        return self._kernel[0].name(page.virtual + inside)

    def _windows(self, address: int | None) -> tuple[tuple[tuple[str, int], ...], int]:
        """Those that lead to a GPA, and the bytes for which that stays so; 0: for long."""
        if address is None or not self._inbound:
            return (), 0
        here = [window for window in self._inbound if address in window.range]
        edges = [edge for window in self._inbound for edge in window.range if edge > address]
        return (
            tuple((window.window, window.offset_of(address)) for window in here),
            min(edges, default=address) - address,
        )

    def _page(self, start: int) -> _Page:
        if start not in self._pages:
            if len(self._pages) >= MOST_PAGES:
                self._pages.clear()
            self._pages[start] = self._look_at(start)
        return self._pages[start]

    def _look_at(self, start: int) -> _Page:
        if self._kernel is None:
            return _Page(None, None if self._is_virtual else start, None)
        naming, pages = self._kernel
        if not self._is_virtual:
            return _Page(naming.virtual(start), start, _text(pages.owner(start)))
        physical = self._guest.kernel.tables.walk(start).address
        return _Page(start, physical, None if physical is None else _text(pages.owner(physical)))

    @cached_property
    def _kernel(self) -> tuple[Naming, PageMap] | None:
        """What the kernel knows; a note says why it is missing."""
        from ntbdbg.kernel.asked.naming import Naming
        from ntbdbg.kernel.tasks.pages import PageMap

        try:
            kernel = self._guest.kernel
            naming = Naming(kernel)
            naming.direct_map  # noqa: B018  whether its symbols can be read shows here
        except NtbdbgError as error:
            self._guest.lab.note(f"labels go without the kernel: {error.message}")
            return None
        return naming, PageMap(kernel)

    @cached_property
    def _inbound(self) -> list[Inbound]:
        from ntbdbg.analysis.reached import inbound

        return [window for window in inbound(self._guest) if not window.closed]


def _text(owner: PageOwner | None) -> str | None:
    return str(owner) if owner else None
