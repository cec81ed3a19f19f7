# SPDX-License-Identifier: MIT
"""The headers of a kdump-compressed file, checked, and where the rest of it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ntbdbg.arch.base import Architecture
from ntbdbg.arch.foreign import Foreign, of_utsname, refusal
from ntbdbg.arch.known import DEFAULT, by_utsname
from ntbdbg.errors import FormatError
from ntbdbg.memory.formats import kdumpformat as layout
from ntbdbg.memory.formats.flattened import FlattenedFile
from ntbdbg.memory.formats.notes import MAX_NOTES, NoteFacts, read_notes
from ntbdbg.memory.image import ByteSource
from ntbdbg.units import format_size

MAX_PAGES = 1 << 36
"""256 TiB of 4 KiB pages: all that x86-64 kernels can use without five-level paging."""

MAX_VMCOREINFO = 1 << 20

_PAGE_SIZES = range(12, 17)


class KdumpHeader(NamedTuple):
    """What the headers say.

    :ivar page_size: bytes
    :ivar pages: how many the bitmaps speak of
    :ivar exist: where the bitmap of pages that exist lies
    :ivar dumped: where the one of pages in the dump lies
    :ivar descriptors: where the table of page descriptors begins
    :ivar filtered: why pages may be missing, as the end of a sentence
    :ivar remarks: as `ImageFacts.notes`
    """

    page_size: int
    pages: int
    exist: int
    dumped: int
    descriptors: int
    filtered: str
    vmcoreinfo: bytes | None
    vcpus: tuple[Mapping[str, int], ...]
    remarks: tuple[str, ...]


def read_header(source: ByteSource) -> KdumpHeader:
    """Read and check; raises FormatError."""
    header = _header(source)
    block = header.block_size
    if block + layout.SUB_SIZE > source.size:
        raise _bad(source, block, "ends within its headers")
    sub = layout.SubHeader.parse(source.read(block, layout.SUB_SIZE), header.version)
    if sub.split:
        raise _bad(source, block + 12, "is one part of a dump that makedumpfile split")
    pages = sub.max_mapnr_64 or header.max_mapnr
    bitmaps = (1 + header.sub_blocks) * block
    second = _second_bitmap(source, header, pages)
    facts = _facts(source, sub, by_utsname(header.machine) or DEFAULT)
    return KdumpHeader(
        page_size=block,
        pages=pages,
        exist=bitmaps,
        dumped=bitmaps + second,
        descriptors=bitmaps + header.bitmap_blocks * block,
        filtered=f" (makedumpfile's dump level {sub.dump_level})" if sub.dump_level else "",
        vmcoreinfo=facts.vmcoreinfo,
        vcpus=facts.vcpus,
        remarks=tuple(_remarks(source, header)),
    )


def _header(source: ByteSource) -> layout.Header:
    if source.size < layout.HEADER_SIZE:
        raise _bad(source, source.size, "ends within its headers")
    header = layout.Header.parse(source.read(0, layout.HEADER_SIZE))
    if header.signature not in (layout.SIGNATURE, layout.OLD_SIGNATURE):
        raise _bad(source, 0, "does not begin as a kdump file")
    if not 0 <= header.version < 1 << 8:
        raise _bad(source, 8, f"has header version {header.version}: of another byte order?")
    if header.block_size not in {1 << power for power in _PAGE_SIZES}:
        raise _bad(source, 428, f"claims pages of {header.block_size} bytes")
    foreign = of_utsname(header.machine)
    if foreign:
        raise refusal(source.path, Foreign(foreign, "the utsname in its header"))
    if header.sub_blocks < 1:
        raise _bad(source, 432, f"claims a sub header of {header.sub_blocks} blocks")
    return header


def _second_bitmap(source: ByteSource, header: layout.Header, pages: int) -> int:
    """Bytes from the first bitmap to that of pages in the dump; 0 where one serves as both.

    That one cannot be both halves shows in its size: both must hold `pages` bits and lie in the
    file. (crash and libkdumpfile go by the same.)
    """
    if not 0 < pages <= MAX_PAGES:
        size = format_size(pages * header.block_size)
        raise _bad(source, header.block_size, f"claims {size} of memory")
    whole = header.bitmap_blocks * header.block_size
    if whole * 8 < pages:
        raise _bad(source, 436, f"has {whole} bytes of bitmaps, too few for {pages} pages")
    start = (1 + header.sub_blocks) * header.block_size
    if start + whole > source.size:
        raise _bad(source, start, "ends within its bitmaps")
    return whole // 2 if whole // 2 * 8 >= pages else 0


def _facts(source: ByteSource, sub: layout.SubHeader, arch: Architecture) -> NoteFacts:
    """Of the notes; old writers have VMCOREINFO beside them, without a note's head."""
    notes = _part(source, sub.note_offset, min(sub.note_size, MAX_NOTES))
    facts = read_notes(notes, arch)
    if facts.vmcoreinfo is None and sub.vmcoreinfo_size:
        size = min(sub.vmcoreinfo_size, MAX_VMCOREINFO)
        facts = facts._replace(vmcoreinfo=_part(source, sub.vmcoreinfo_offset, size) or None)
    return facts


def _part(source: ByteSource, offset: int, size: int) -> bytes:
    return source.read(offset, size) if offset + size <= source.size else b""


def _remarks(source: ByteSource, header: layout.Header) -> Iterator[str]:
    if header.status & layout.INCOMPLETE:
        yield "its writer ran out of space, so pages are missing"
    if isinstance(source, FlattenedFile) and source.truncated:
        yield "the file is truncated: its end mark is missing"


def _bad(source: ByteSource, offset: int, reason: str) -> FormatError:
    return FormatError(source.path, offset, reason, hint=_HINTS.get(reason[:11], _COPIED))


_COPIED = "was it copied as a whole? 64-bit little-endian dumps are read"
_HINTS = {"is one part": "put it together: makedumpfile --reassemble PART… WHOLE"}
