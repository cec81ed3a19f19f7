# SPDX-License-Identifier: MIT
"""Writes kdump-compressed files (diskdump, version 6), as makedumpfile does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ntbdbg.arch.base import Architecture
from ntbdbg.errors import TargetError
from ntbdbg.memory.base import AddressRange, PhysicalMemory
from ntbdbg.memory.formats import kdumpformat as layout
from ntbdbg.memory.formats.content import CHUNK, Content, Tell, held, padded
from ntbdbg.memory.formats.notes import build_notes
from ntbdbg.memory.formats.sink import Sink
from ntbdbg.units import PAGE

ZLIB_LEVEL = 1
ZSTD_LEVEL = 1

MOST_PAGES = 1 << 34
"""64 TiB: what Linux takes with four levels of page tables (MAX_PHYSMEM_BITS)."""

METHODS = {"zstd": layout.ZSTD, "zlib": layout.ZLIB}

_ZERO_PAGE = bytes(PAGE)
_FIELD = layout.UTSNAME_SIZE

Runs = list[tuple[int, int]]
"""Pages `[first, last)`."""


def write_kdump(content: Content, sink: Sink, tell: Tell, method: str = "zstd") -> int:
    """Every page of RAM, compressed by `method`; gives the size of the file in bytes."""
    runs = _page_runs(content.memory)
    notes = build_notes(content.vcpus, content.vmcoreinfo, content.arch)
    sub_blocks = -(-(layout.SUB_SIZE + len(notes)) // PAGE)
    pages = runs[-1][1]
    half = -(-pages // (8 * PAGE)) * PAGE
    bitmaps = (1 + sub_blocks) * PAGE
    sink.write(0, _header(content, runs, sub_blocks, half, METHODS[method]))
    sink.write(PAGE, _sub_header(content, pages, notes))
    for start in (bitmaps, bitmaps + half):
        for offset, data in _bitmap(runs):
            sink.write(start + offset, data)
    table, descriptors = bitmaps + 2 * half, tables_size(content.memory)
    return _PageWriter(sink, table, descriptors, runs, method).write(content.memory, tell)


def tables_size(memory: PhysicalMemory) -> int:
    """Bytes of the descriptors, which every page has, whether anything is in it or not.

    :raises TargetError: there are too many pages
    """
    return sum(last - first for first, last in _page_runs(memory)) * layout.DESCRIPTOR_SIZE


class _PageWriter:
    """The table of descriptors, and the data behind it; pages of zeros share one page of it."""

    def __init__(self, sink: Sink, table: int, descriptors: int, runs: Runs, method: str) -> None:
        self._sink = sink
        self._runs = runs
        self._compress = _compressor(method)
        self._flag = METHODS[method]
        self._table = table
        self._zero = table + descriptors
        self._data = self._zero + PAGE
        self._zero_descriptor = layout.Descriptor(self._zero, PAGE, 0).build()

    def write(self, memory: PhysicalMemory, tell: Tell) -> int:
        self._sink.write(self._zero, _ZERO_PAGE)
        done, total = 0, held(memory)
        for first, last in self._runs:
            for low in range(first, last, CHUNK // PAGE):
                part = AddressRange(low * PAGE, min(low + CHUNK // PAGE, last) * PAGE)
                touched = list(memory.extents(part))
                self._write_part(memory, part, touched)
                done += sum(extent.size for extent in touched)
                tell(done, total)
        self._sink.finish(self._data)
        return self._data

    def _write_part(
        self, memory: PhysicalMemory, part: AddressRange, touched: list[AddressRange]
    ) -> None:
        if not touched:
            self._put(self._zero_descriptor * (part.size // PAGE), b"")
            return
        data = padded(memory, part.start, part.end)
        table, packed = bytearray(), bytearray()
        for at in range(0, len(data), PAGE):
            page = data[at : at + PAGE]
            if page == _ZERO_PAGE:
                table += self._zero_descriptor
                continue
            small = self._compress(page)
            flag = self._flag if len(small) < PAGE else 0
            small = small if flag else page
            table += layout.Descriptor(self._data + len(packed), len(small), flag).build()
            packed += small
        self._put(table, packed)

    def _put(self, table: bytes | bytearray, data: bytes | bytearray) -> None:
        self._sink.write(self._table, table)
        self._table += len(table)
        if data:
            self._sink.write(self._data, data)
            self._data += len(data)


def _page_runs(memory: PhysicalMemory) -> Runs:
    """Pages that have RAM, even if only in a part of them; TargetError if they lie too far up."""
    runs: Runs = []
    for run in memory.segments.runs():
        first, last = run.start // PAGE, -(-run.end // PAGE)
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    if runs[-1][1] > MOST_PAGES:
        raise TargetError(
            f"{memory.name}: RAM up to {runs[-1][1] * PAGE:#x} is too much for kdump, "
            "which tells of each page of it",
            hint="--format elf has no such limit",
        )
    return runs


def _header(content: Content, runs: Runs, sub_blocks: int, half: int, status: int) -> bytes:
    pages = sum(last - first for first, last in runs)
    small = (1 << 32) - 1
    return layout.Header(
        signature=layout.SIGNATURE,
        version=layout.VERSION,
        utsname=content.utsname or _unknown_system(content.arch),
        seconds=int(content.time),
        microseconds=int(content.time % 1 * 1_000_000),
        status=status,
        block_size=PAGE,
        sub_blocks=sub_blocks,
        bitmap_blocks=2 * half // PAGE,
        max_mapnr=min(runs[-1][1], small),
        total_ram_blocks=min(pages, small),
        device_blocks=0,
        written_blocks=min(pages, small),
        current_cpu=0,
        cpus=len(content.vcpus),
    ).build()


def _unknown_system(arch: Architecture) -> bytes:
    """What every guest of ours has: sysname, and machine, the fifth field."""
    return b"Linux".ljust(4 * _FIELD, b"\0") + arch.name.encode().ljust(2 * _FIELD, b"\0")


def _sub_header(content: Content, pages: int, notes: bytes) -> bytes:
    at = PAGE + layout.SUB_SIZE
    text = content.vmcoreinfo or b""
    return (
        layout.SubHeader(
            phys_base=content.phys_base & (1 << 64) - 1,
            # VMCOREINFO is the last note, and notes are padded to words.
            vmcoreinfo_offset=at + notes.rindex(text) if text else 0,
            vmcoreinfo_size=len(text),
            note_offset=at if notes else 0,
            note_size=len(notes),
            max_mapnr_64=pages,
        ).build()
        + notes
    )


def _bitmap(runs: Runs) -> Iterator[tuple[int, bytes]]:
    """A bitmap by pieces of one block, but for those that are empty."""
    pages = 8 * PAGE
    block = bits = 0
    for first, last in runs:
        for number in range(first // pages, (last - 1) // pages + 1):
            if number != block and bits:
                yield block * PAGE, bits.to_bytes(PAGE, "little")
                bits = 0
            block, base = number, number * pages
            bits |= (1 << min(last - base, pages)) - (1 << max(first - base, 0))
    yield block * PAGE, bits.to_bytes(PAGE, "little")


def _compressor(method: str) -> Callable[[bytes], bytes]:
    if method == "zlib":
        import zlib

        return lambda page: zlib.compress(page, ZLIB_LEVEL)
    import zstandard

    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
