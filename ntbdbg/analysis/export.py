# SPDX-License-Identifier: MIT
"""A guest written as a dump that other tools open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.arch.foreign import of_ram
from ntbdbg.errors import FaultError, ForeignError, NtbdbgError, TargetError
from ntbdbg.lab.elsewhere import ram_elsewhere
from ntbdbg.lab.vcpus import Vcpus, vcpus_of
from ntbdbg.memory.formats.content import Content, Mapped, Tell, held
from ntbdbg.memory.formats.kdumpformat import UTSNAME_FIELDS, UTSNAME_SIZE
from ntbdbg.memory.formats.kdumpwrite import METHODS, tables_size, write_kdump
from ntbdbg.memory.formats.plainwrite import write_elf, write_lime, write_raw
from ntbdbg.memory.formats.sink import Sink
from ntbdbg.memory.image import ImageMemory
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.guest import Guest
    from ntbdbg.memory.base import PhysicalMemory

FORMATS = ("elf", "kdump", "lime", "raw")
KERNEL_FORMATS = ("isf", "vmlinux")
"""Those that hold no memory, but what the kernel tells of itself; see `kernelfile`."""

OF_A_MACHINE = ("elf", "kdump")
"""Those that name the architecture."""

METHOD_NAMES = tuple(METHODS)

_OVERHEAD = 1 << 20
"""Bytes that are more than enough for headers of a plain dump."""


@dataclass(frozen=True)
class Export:
    """A guest ready to be written.

    :ivar content: what goes into the dump
    :ivar vcpus: its processors, and why they are missing
    :ivar notes: what the user should know of it
    :ivar foreign: the architecture of its kernel, if that is not x86-64
    """

    guest: Guest
    content: Content
    vcpus: Vcpus
    notes: tuple[str, ...]
    foreign: str | None = None

    def room(self, form: str) -> int:
        """Bytes of disk that the dump takes; for kdump, whose pages shrink, the least of it."""
        bytes_held = held(self.content.memory)
        if form == "kdump":
            return tables_size(self.content.memory) + bytes_held // 100
        return bytes_held + _OVERHEAD

    def write(self, sink: Sink, form: str, tell: Tell, *, method: str = "zstd") -> int:
        """Write it all; gives the bytes of the file.

        :param form: one of `FORMATS`
        :param method: one of `METHOD_NAMES`, for kdump
        :raises TargetError: memory or the file went away, or the disk is full; or the dump would
            say that it is of x86-64 and is not
        """
        if self.foreign and form in OF_A_MACHINE:
            raise TargetError(
                f"{self.guest.name}: its kernel is one for {self.foreign}, and {form} dumps are "
                "written for x86-64 only",
                hint="'--format raw' and 'lime' say nothing of the machine",
            )
        if form == "kdump":
            return write_kdump(self.content, sink, tell, method)
        return _WRITERS[form](self.content, sink, tell)

    def left_out(self) -> str | None:
        """What to say of memory that could not be read, once it is written; None if it could."""
        size = self.content.memory.left_out()
        return f"{format_size(size)} cannot be read, and are zeros in it" if size else None


_WRITERS: dict[str, Callable[[Content, Sink, Tell], int]] = {
    "elf": write_elf,
    "lime": write_lime,
    "raw": write_raw,
}


def prepare_export(guest: Guest, *, now: float | None = None) -> Export:
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
        vcpus=tuple(record.registers for record in vcpus.records),
        vmcoreinfo=memory.facts.vmcoreinfo if isinstance(memory, ImageMemory) else None,
        time=time.time() if now is None else now,
    )
    foreign = None
    try:
        content = _with_kernel(guest, content)
    except NtbdbgError as error:
        foreign = _foreign(memory, error)
        notes.append(f"without what the kernel says of itself: {error.message}")
    notes += ram_elsewhere(guest)
    if isinstance(memory, ImageMemory):
        notes += memory.facts.notes
    return Export(guest, content, vcpus, tuple(notes), foreign)


def _foreign(memory: PhysicalMemory, error: NtbdbgError) -> str | None:
    """The architecture of a kernel that is not understood, if it is another one's."""
    if isinstance(error, ForeignError):
        return error.architecture
    if not isinstance(memory, RamFile):
        return None
    found = of_ram(memory.file.read, memory.file.size)
    return found.architecture if found else None


def _with_kernel(guest: Guest, content: Content) -> Content:
    kernel = guest.kernel
    return content._replace(
        arch=kernel.arch,
        vmcoreinfo=content.vmcoreinfo or kernel.info.text,
        phys_base=kernel.info.phys_base,
        utsname=_utsname(kernel),
        image=_image(kernel),
        direct_map=_direct_map(kernel),
    )


def _utsname(kernel: Kernel) -> bytes:
    """``init_uts_ns.name``, what ``uname -a`` says; libkdumpfile wants it whole."""
    start, size = kernel.info.symbol("init_uts_ns"), UTSNAME_FIELDS * UTSNAME_SIZE
    if start is None:
        return b""
    return kernel.virtual.read(start + (kernel.info.offset("uts_namespace.name") or 0), size)


def _image(kernel: Kernel) -> Mapped | None:
    """From ``_text`` to ``_end``."""
    start, end = (kernel.table.named(name) for name in ("_text", "_end"))
    if not start or not end or start[0].address >= end[0].address:
        return None
    size = end[0].address - start[0].address
    return Mapped(start[0].address, kernel.info.image_to_physical(start[0].address), size)


def _direct_map(kernel: Kernel) -> int | None:
    """Where the page tables do map all physical memory in one piece."""
    root = kernel.info.page_table_root
    try:
        base = kernel.arch.direct_map(kernel.info, kernel.variable)
        return base if kernel.translate(base + root) == root else None
    except FaultError:
        return None
