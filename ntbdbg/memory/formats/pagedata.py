# SPDX-License-Identifier: MIT
"""The data of each page of a kdump file, found by its descriptor and decompressed."""

from __future__ import annotations

from ntbdbg.memory.formats.flattened import FlattenedFile
from ntbdbg.memory.formats.kdumpformat import DESCRIPTOR_SIZE, METHODS, Descriptor
from ntbdbg.memory.formats.pagecodec import Decompress, decompressor
from ntbdbg.memory.image import ByteSource

CUT = "the dump was cut short before it"
INCOMPLETE = "makedumpfile left it incomplete"

_NONE = Descriptor(0, 0, 0)


class PageError(ValueError):
    """Why a page cannot be had, as a clause."""


class PageData:
    """Pages of `page` bytes whose descriptors lie from `table` on."""

    def __init__(self, source: ByteSource, table: int, page: int) -> None:
        self._source = source
        self._table = table
        self._page = page
        self._codecs: dict[int, Decompress] = {}
        self._most, self._end = 2 * page, source.size
        self._in_pieces = isinstance(source, FlattenedFile) and source.truncated
        self._never_written = CUT if self._in_pieces else INCOMPLETE

    def descriptors(self, first: int, last: int) -> list[Descriptor | None]:
        """Of the dumped pages from the `first`-th to before the `last`-th; None: cut off."""
        start, end = (self._table + rank * DESCRIPTOR_SIZE for rank in (first, last))
        there = max(0, min(end, self._source.size) - start) // DESCRIPTOR_SIZE
        raw = self._source.read(start, there * DESCRIPTOR_SIZE) if there else b""
        return [*Descriptor.parse_table(raw), *[None] * (last - first - there)]

    def problem(self, page: Descriptor | None) -> str | None:
        """Why a page cannot be had, as its descriptor alone tells; None if it may be whole."""
        if (
            page is not None
            and 0 < page.size <= self._most
            and page.offset <= self._end - page.size
        ):
            return None  # nearly always
        if page is None:
            return CUT
        if page == _NONE:
            return self._never_written
        if page.size > self._most:
            return f"its data in the dump is damaged: it claims {page.size:#x} bytes"
        return CUT if page.offset + page.size > self._end else None

    def read(self, page: Descriptor | None) -> bytes:
        """The page; raises PageError if it cannot be had, TargetError if a library lacks."""
        problem = self.problem(page)
        if problem or page is None:
            raise PageError(problem)
        if self._in_pieces:
            self._check_present(page)
        data = self._source.read(page.offset, page.size)
        flags = page.flags & _KNOWN  # of the others nobody knows, and there may be many
        if flags:
            data = self._decompressed(data, flags)
        if len(data) != self._page:
            raise PageError(
                f"its data in the dump is damaged: it makes {len(data)} bytes, not {self._page}"
            )
        return data

    def _check_present(self, page: Descriptor) -> None:
        end = page.offset + page.size
        if list(self._source.present(page.offset, end)) != [(page.offset, end)] and page.size:
            raise PageError(CUT)

    def _decompressed(self, data: bytes, flags: int) -> bytes:
        codec = self._codecs.get(flags)
        try:
            return (codec or self._codec(flags))(data, self._page)
        except ValueError as error:
            raise PageError(
                f"its data in the dump is damaged and cannot be decompressed "
                f"({METHODS[_method(flags)]}): {error}"
            ) from None

    def _codec(self, flags: int) -> Decompress:
        """What undoes these flags, looked up once."""
        self._codecs[flags] = decompressor(_method(flags))
        return self._codecs[flags]


_KNOWN = sum(METHODS)


def _method(flags: int) -> int:
    return next(flag for flag in METHODS if flags & flag)
