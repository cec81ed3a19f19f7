# SPDX-License-Identifier: MIT
"""Finding the kernels in a guest's RAM by the VMCOREINFO each one keeps there."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ntbdbg.arch.foreign import of_vmcoreinfo
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.boot.vmcoreinfo import FIRST_KEY, Vmcoreinfo
from ntbdbg.kernel.mmu.paging import PageTables
from ntbdbg.kernel.mmu.virtual import VirtualMemory
from ntbdbg.memory.segments import AddressRange
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

CHUNK = 1 << 20
NOTE_HEADER = 24
"""Bytes before the text where it is an ELF note: sizes, type, ``VMCOREINFO``, padded."""

MOST_TEXTS = 64
"""Different texts looked at; a hostile guest may be full of them."""

NAME_LENGTH = len(b"VMCOREINFO\0")
"""With which an ELF note begins (``n_namesz``)."""
_UTS_FIELD = 65  # __NEW_UTS_LEN + 1: sysname, nodename, release, …

Progress = Callable[[int, int], None]


def find_vmcoreinfo(
    memory: PhysicalMemory, *, progress: Progress | None = None
) -> list[Vmcoreinfo]:
    """Every kernel in `memory` whose page tables hold, most likely the live one first.

    :param progress: called with bytes done and bytes in all
    """
    found = [info for info in scan(memory, progress=progress) if implausible(memory, info) is None]
    # What an earlier kernel left may be whole; the memory behind it is the live one's by now.
    return sorted(found, key=lambda info: contradiction(memory, info) is not None)


def scan(memory: PhysicalMemory, *, progress: Progress | None = None) -> list[Vmcoreinfo]:
    """Every different VMCOREINFO text that is whole, by address.

    A kernel keeps it twice, each at the start of a page: plain, and as an ELF note.
    """
    found: dict[bytes, Vmcoreinfo] = {}
    for address in _hits(memory, progress):
        info = read_text(memory, address)
        if info is not None:
            found.setdefault(info.text, info)
            if len(found) == MOST_TEXTS:
                break
    return sorted(found.values(), key=lambda info: info.address or 0)


def find_displaced(memory: PhysicalMemory) -> Vmcoreinfo | None:
    """A VMCOREINFO text that lies where no kernel has it: not at the start of a page.

    So it is where pieces of RAM that are no whole pages were put into a file one after the other.
    """
    for address in islice(_anywhere(memory), MOST_TEXTS):
        try:
            info = read_text(memory, address)
        except FaultError:
            continue
        if info is not None and address % PAGE not in (0, NOTE_HEADER):
            return info
    return None


def _anywhere(memory: PhysicalMemory) -> Iterator[int]:
    """GPAs of all that begins as a text does."""
    for extent in memory.extents():
        for start in range(extent.start, extent.end, CHUNK):
            size = min(CHUNK + len(FIRST_KEY) - 1, extent.end - start)
            try:
                data = memory.read(start, size)
            except FaultError:
                continue
            at = data.find(FIRST_KEY)
            while at >= 0:
                yield start + at
                at = data.find(FIRST_KEY, at + 1)


def read_text(memory: PhysicalMemory, address: int) -> Vmcoreinfo | None:
    """The text at a GPA, None if it is none."""
    segment = memory.segments.find(address)
    if segment is None:
        return None
    return Vmcoreinfo.parse(address, memory.read(address, min(PAGE, segment.end - address)))


def page_tables(memory: PhysicalMemory, info: Vmcoreinfo) -> PageTables:
    """The kernel's own page tables; with page table isolation the half that maps it all."""
    return PageTables(memory, info.page_table_root, info.geometry)


def implausible(memory: PhysicalMemory, info: Vmcoreinfo) -> str | None:
    """Why `info` cannot be a kernel whose memory is whole, as a clause; None if it can."""
    foreign = of_vmcoreinfo(info.text)
    if foreign:
        return f"it is one for {foreign}"
    try:
        tables = page_tables(memory, info)
        address, _ = tables.translate(info.swapper_pg_dir)
    except KernelError as error:
        return error.message
    except FaultError as error:
        return f"its page tables are gone: {error.address:#x} {error.reason}"
    if address != tables.root:
        return f"its page tables are gone: they map themselves to {address:#x}"
    return None


def contradiction(memory: PhysicalMemory, info: Vmcoreinfo) -> str | None:
    """What `init_uts_ns` says against `info`, as a clause; None if both agree."""
    namespace = info.symbol("init_uts_ns")
    offset = info.offset("uts_namespace.name")
    if namespace is None or offset is None:
        return "it does not say where init_uts_ns is"
    try:
        virtual = VirtualMemory(page_tables(memory, info))
        raw = virtual.read(namespace + offset, 3 * _UTS_FIELD)
    except FaultError as error:
        return f"init_uts_ns cannot be read: {error.message}"
    release = raw[2 * _UTS_FIELD :].partition(b"\0")[0].decode("latin-1")
    return None if release == info.release else f"init_uts_ns says that it is {release!r}"


def _hits(memory: PhysicalMemory, progress: Progress | None) -> Iterator[int]:
    """GPAs where a text may start."""
    extents = list(memory.extents())
    total = sum(extent.size for extent in extents)
    # Whole pages: copying to an address that is no multiple of 32 takes three times as long.
    view = memoryview(mmap.mmap(-1, CHUNK))
    done = 0
    for extent in extents:
        start = -(-extent.start // PAGE) * PAGE
        while (size := min(CHUNK, (extent.end - start) // PAGE * PAGE)) > 0:
            for at, length in _filled(memory, AddressRange(start, start + size), view):
                yield from (at + offset for offset in _page_starts(view[:length]))
            start += size
            done += size
            if progress is not None:
                progress(done, total)


def _filled(
    memory: PhysicalMemory, part: AddressRange, view: memoryview
) -> Iterator[tuple[int, int]]:
    """Address and size of what can be read of `part`, each while its bytes are in `view`."""
    try:
        memory.readinto(part.start, view[: part.size])
        yield part.start, part.size
    except FaultError:
        for at, data in memory.read_sound(part):
            view[: len(data)] = data
            yield at, len(data) // PAGE * PAGE


def _page_starts(pages: memoryview) -> Iterator[int]:
    """Offsets of texts in whole pages; the first byte of each page is looked at."""
    heads = pages[::PAGE].tobytes()
    for first, skip in ((FIRST_KEY[0], 0), (NAME_LENGTH, NOTE_HEADER)):
        page = heads.find(first)
        while page >= 0:
            offset = page * PAGE + skip
            if pages[offset : offset + len(FIRST_KEY)] == FIRST_KEY:
                yield offset
            page = heads.find(first, page + 1)
