# SPDX-License-Identifier: MIT
"""A guest written as a dump that other tools open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError, TargetError
from ntbdbg.memory.formats.content import Content, Mapped, Tell, held
from ntbdbg.memory.formats.kdumpformat import UTSNAME_FIELDS, UTSNAME_SIZE
from ntbdbg.memory.formats.kdumpwrite import METHODS, write_kdump
from ntbdbg.memory.formats.plainwrite import write_elf, write_lime, write_raw
from ntbdbg.memory.formats.sink import Sink
from ntbdbg.memory.image import ImageMemory
from ntbdbg.target.vcpus import Vcpus, vcpus_of

if TYPE_CHECKING:
    from ntbdbg.target.guest import Guest

FORMATS = ("elf", "kdump", "lime", "raw")
METHOD_NAMES = tuple(METHODS)

_OVERHEAD = 1 << 20
"""Bytes that are more than enough for headers of a plain dump."""


@dataclass(frozen=True)
class Export:
    """A guest ready to be written.

    :ivar content: what goes into the dump
    :ivar vcpus: its processors, and why they are missing
    :ivar notes: what the user should know of it
    """

    guest: Guest
    content: Content
    vcpus: Vcpus
    notes: tuple[str, ...]

    def room(self, form: str) -> int:
        """Bytes of disk that the dump takes; for kdump, whose pages shrink, the least of it."""
        bytes_held = held(self.content.memory)
        return bytes_held // 100 if form == "kdump" else bytes_held + _OVERHEAD

    def write(self, sink: Sink, form: str, tell: Tell, *, method: str = "zstd") -> int:
        """Write it all; gives the bytes of the file.

        :param form: one of `FORMATS`
        :param method: one of `METHOD_NAMES`, for kdump
        :raises TargetError: memory or the file went away, or the disk is full
        """
        if form == "kdump":
            return write_kdump(self.content, sink, tell, method)
        return _WRITERS[form](self.content, sink, tell)


_WRITERS: dict[str, Callable[[Content, Sink, Tell], int]] = {
    "elf": write_elf,
    "lime": write_lime,
    "raw": write_raw,
}


def prepare(guest: Guest, *, now: float | None = None) -> Export:
    """Gather what a dump of `guest` says: memory, registers, and of its kernel what is known.

    :param now: seconds since the epoch
    :raises TargetError: it has no memory
    """
    memory = guest.memory
    if not memory.segments:
        raise TargetError(f"{guest.name} has no memory to export")
    vcpus = vcpus_of(guest)
    notes = [f"no registers in it: {vcpus.why}"] if vcpus.why else []
    content = Content(
        memory,
        tuple(record.registers for record in vcpus.records),
        memory.facts.vmcoreinfo if isinstance(memory, ImageMemory) else None,
        time=time.time() if now is None else now,
    )
    try:
        content = _with_kernel(guest, content)
    except NtbdbgError as error:
        notes.append(f"without what the kernel says of itself: {error.message}")
    if isinstance(memory, ImageMemory):
        notes += memory.facts.notes
    return Export(guest, content, vcpus, tuple(notes))


def _with_kernel(guest: Guest, content: Content) -> Content:
    kernel = guest.kernel
    info = kernel.info
    known = content._replace(
        vmcoreinfo=content.vmcoreinfo or info.text,
        phys_base=info.phys_base,
        utsname=_utsname(guest),
    )
    start, end = kernel.symbol("_text").address, kernel.symbol("_end").address
    image = Mapped(start, info.image_to_physical(start), end - start)
    return known._replace(image=image if end > start else None, direct_map=_direct_map(guest))


def _utsname(guest: Guest) -> bytes:
    """``init_uts_ns.name``, what ``uname -a`` says; libkdumpfile wants it whole."""
    info = guest.kernel.info
    start, size = info.symbol("init_uts_ns"), UTSNAME_FIELDS * UTSNAME_SIZE
    if start is None:
        return b""
    return guest.kernel.virtual.read(start + (info.offset("uts_namespace.name") or 0), size)


def _direct_map(guest: Guest) -> int | None:
    """Where all physical memory is mapped: ``page_offset_base``, or the constant without KASLR."""
    kernel = guest.kernel
    base = kernel.virtual.read(kernel.symbol("page_offset_base").address, 8)
    return int.from_bytes(base, "little")
