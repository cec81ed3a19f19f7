# SPDX-License-Identifier: MIT
"""What goes into a dump, and how it is read for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ntbdbg.arch.base import Architecture
from ntbdbg.arch.known import DEFAULT
from ntbdbg.errors import FaultError
from ntbdbg.memory.base import AddressRange, PhysicalMemory

CHUNK = 1 << 20
"""Bytes read in one go; chunks begin at multiples of it."""

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)

Tell = Callable[[int, int], None]
"""Called with what is done and what is to do, in bytes."""


class Mapped(NamedTuple):
    """`size` bytes at virtual address `virtual`, which are at physical address `physical`."""

    virtual: int
    physical: int
    size: int


class Content(NamedTuple):
    """A guest as dumps hold it.

    :ivar arch: its architecture
    :ivar vcpus: registers by name of each CPU, none if unknown
    :ivar vmcoreinfo: text of the kernel's VMCOREINFO, if known
    :ivar direct_map: where the kernel maps all physical memory, if known
    :ivar image: where the kernel itself is mapped, if known
    :ivar phys_base: the kernel's variable, if known
    :ivar utsname: ``struct new_utsname`` as it is in RAM, empty if unknown
    :ivar time: seconds since the epoch
    """

    memory: PhysicalMemory
    arch: Architecture = DEFAULT
    vcpus: tuple[Mapping[str, int], ...] = ()
    vmcoreinfo: bytes | None = None
    direct_map: int | None = None
    image: Mapped | None = None
    phys_base: int = 0
    utsname: bytes = b""
    time: float = 0.0


def held(memory: PhysicalMemory) -> int:
    """Bytes that may be other than zeros: what there is to be read."""
    return sum(extent.size for extent in memory.extents())


def chunks(memory: PhysicalMemory, within: AddressRange) -> Iterator[tuple[int, bytes]]:
    """What may be other than zeros in a range of RAM, by address, at most `CHUNK` at a time.

    What turns out to be damaged is passed over.
    """
    for extent in memory.extents(within):
        at = extent.start
        while at < extent.end:
            end = min(extent.end, at + CHUNK - at % CHUNK)
            yield from memory.read_sound(AddressRange(at, end))
            at = end


def filled(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of what of `data` is not all zeros, in blocks of 64 KiB."""
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        if block != _ZEROS[: len(block)]:
            yield at, block


def padded(memory: PhysicalMemory, start: int, end: int) -> bytes:
    """Bytes of `[start, end)`, with zeros where there is no RAM or a page cannot be had."""
    try:
        return memory.read(start, end - start)
    except FaultError:
        data = bytearray(end - start)
        for part in memory.sound(AddressRange(start, end)):
            data[part.start - start : part.end - start] = memory.read(part.start, part.size)
        return bytes(data)
