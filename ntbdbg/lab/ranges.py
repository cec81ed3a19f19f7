# SPDX-License-Identifier: MIT
"""Ranges as users write them: ``A..B``, ``A:B``, ``A+LENGTH``, or a symbol with its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.inspect.search import parse_range
from ntbdbg.lab.address import KERNEL_HALF
from ntbdbg.memory.segments import AddressRange
from ntbdbg.units import ADDRESS_LIMIT, parse_size

if TYPE_CHECKING:
    from ntbdbg.lab.place import GuestLike, Place
    from ntbdbg.memory.base import PhysicalMemory

EXAMPLES = "e.g. 1M:2M, 0x1000+4K, _stext.._etext, init_task"


class Range(NamedTuple):
    """A range of some guest's memory.

    :ivar place: where it starts
    :ivar memory: what to read: of virtual addresses, those that are mapped
    """

    place: Place
    memory: PhysicalMemory
    span: AddressRange


def resolve_range(guest: GuestLike, text: str) -> Range:
    """What `text` means to `guest`; numbers in the canonical high half are virtual.

    :raises UsageError: it is no range, or an empty one
    :raises KernelError, NtbError, FaultError: as `Guest.resolve`; nothing of it is mapped
    """
    place, size = _start_and_size(guest, text.strip())
    span = AddressRange(place.address, place.address + size)
    if size < 1 or span.end > ADDRESS_LIMIT:
        raise UsageError(f"range {text!r:.60} is empty or beyond 64 bits", hint=EXAMPLES)
    if not place.is_virtual:
        return Range(place, place.memory, span)
    from ntbdbg.kernel.mmu.mapped import MappedRange

    return Range(place, MappedRange(place.guest.kernel.tables, span), span)


def _start_and_size(guest: GuestLike, text: str) -> tuple[Place, int]:
    low, dots, high = text.partition("..")
    if dots:
        return _between(guest, low, high)
    if text[:1].isdigit():
        span = parse_range(text)
        space = "va" if span.start >= KERNEL_HALF else "pa"
        return guest.resolve(f"{space}:{span.start:#x}", span.size), span.size
    base, plus, length = text.rpartition("+")
    if plus:
        size = parse_size(length)
        return guest.resolve(base, size), size
    place = guest.resolve(text)
    if place.size is None:
        raise UsageError(f"how long is {text!r:.60}?", hint=f"say it: {text:.60}+LENGTH")
    return place, place.size


def _between(guest: GuestLike, low: str, high: str) -> tuple[Place, int]:
    start, end = guest.resolve(low), guest.resolve(high)
    if start.guest is not end.guest or start.is_virtual != end.is_virtual:
        raise UsageError(f"{low:.60} and {high:.60} are in different memories", hint=EXAMPLES)
    return start, end.address - start.address
