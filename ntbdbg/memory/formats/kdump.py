# SPDX-License-Identifier: MIT
"""kdump-compressed files, as makedumpfile, QEMU and `ntbdbg export` write them.

The first bitmap says where RAM is, so it makes the segments; a page that is there but not in
the second one was left out of the dump, and reading it is a fault. So is reading one that is
damaged, cut off, or was never written; that shows when it is looked at, and is kept in mind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import groupby, islice

from ntbdbg.errors import FaultError, FormatError
from ntbdbg.memory.base import AddressRange, Losses, Segment, SegmentMap
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats.bitmap import PageBitmap
from ntbdbg.memory.formats.kdumpformat import DESCRIPTOR_SIZE, Descriptor
from ntbdbg.memory.formats.kdumpheader import KdumpHeader, read_header
from ntbdbg.memory.formats.pagedata import PageData, PageError
from ntbdbg.memory.formats.pageset import PageSet
from ntbdbg.memory.image import ByteSource, ImageFacts, ImageMemory
from ntbdbg.memory.segments import overlaps, without

MAX_SEGMENTS = 1 << 16

_SHARED = "it shares the page of zeros"
_BATCH = 4096
"""Page descriptors that are looked at in one go."""


def open_image(path: str, name: str) -> KdumpMemory:
    """The memory in the dump at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    file = CheckedFile(path, name, "kdump file")
    try:
        return open_kdump(file, name)
    except BaseException:
        file.close()
        raise


def open_kdump(source: ByteSource, name: str) -> KdumpMemory:
    """The memory in the dump `source`; raises FormatError."""
    return KdumpMemory(source, name, read_header(source))


class KdumpMemory(ImageMemory):
    """Memory in compressed pages.

    Offsets of its segments are those of their first page's descriptor, and of no use to others.

    :raises FormatError: the bitmaps make no sense
    """

    def __init__(self, source: ByteSource, name: str, header: KdumpHeader) -> None:
        self.name = name
        self.source = source
        self._page = header.page_size
        self._table = header.descriptors
        self._dumped = PageBitmap(source, header.dumped, header.pages)
        self._zero = self._table + self._dumped.total * DESCRIPTOR_SIZE
        self._data = PageData(source, self._table, self._page)
        self._lost = PageSet()
        self.segments = SegmentMap(list(self._segments(header)))
        self.facts = ImageFacts("kdump", header.vmcoreinfo, header.vcpus, header.remarks)
        self._filtered = header.filtered

    def check(self, address: int, size: int) -> None:
        super().check(address, size)
        if size == 0:
            return
        first, last = address // self._page, (address + size - 1) // self._page
        there = self._dumped.present(first, last + 1 - first)
        if there < last + 1 - first:
            reason = f"was left out of the dump{self._filtered}"
            hint = "only a dump of all pages has it: makedumpfile -d 0"
            raise self._fault(first + there, address, size, reason, hint)

    def read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        self.check_backing()
        if size == 0:
            return b""
        first, last = address // self._page, (address + size - 1) // self._page
        pages: list[bytes] = []
        for page, descriptor in enumerate(self._descriptors(first, last + 1), first):
            try:
                pages.append(self._data.read(descriptor))
            except PageError as error:
                self._lost.add(page)
                reason = f"cannot be read: {error}"
                hint = "other pages of the dump may be whole"
                raise self._fault(page, address, size, reason, hint) from None
        data = b"".join(pages)
        skip = address - first * self._page
        return data if len(data) == size else data[skip : skip + size]

    def view(self, address: int, size: int) -> memoryview:
        self.check_view(address, size)
        return memoryview(self.read(address, size))

    def file_offset(self, address: int) -> None:
        """None: pages are compressed."""
        return

    def readable(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        for run in super().readable(within):
            first, last = run.start // self._page, -(-run.end // self._page)
            dumped = self._ranges(self._dumped.runs(first, last))
            lost = self._ranges(self._lost.runs(first, last))
            yield from overlaps(without(dumped, lost), iter([run]))

    def sound(self, within: AddressRange) -> Iterator[AddressRange]:
        for part in list(self.readable(within)):
            for page in range(part.start // self._page, -(-part.end // self._page)):
                self._look(page)
        yield from self.readable(within)

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Ranges of pages that were dumped, but for those that share the page of zeros."""
        self.check_backing()
        for part in super().extents(within):
            first, last = part.start // self._page, -(-part.end // self._page)
            filled = (
                run
                for low, high in self._dumped.runs(first, last)
                for run in self._filled(low, high)
            )
            yield from overlaps(self._ranges(filled), iter([part]))

    def take_losses(self) -> Losses:
        return self._lost.take_new()

    def learn_losses(self, losses: Losses) -> None:
        self._lost.update(losses)

    def _look(self, page: int) -> None:
        """Keep in mind whether a dumped page cannot be had."""
        with contextlib.suppress(FaultError):
            self.read(page * self._page, 1)

    def _segments(self, header: KdumpHeader) -> Iterator[Segment]:
        """RAM: runs of the first bitmap, which is coarse even where the dump was filtered."""
        exist = PageBitmap(self.source, header.exist, header.pages)
        runs = list(islice(exist.runs(), MAX_SEGMENTS + 1))
        if len(runs) > MAX_SEGMENTS or not runs:
            words = f"in more than {MAX_SEGMENTS} pieces" if runs else "nowhere"
            raise FormatError(
                self.source.path, header.exist, f"its bitmap says that RAM is {words}"
            )
        for first, last in runs:
            offset = self._table + self._dumped.rank(first) * DESCRIPTOR_SIZE
            yield Segment(first * self._page, (last - first) * self._page, offset)

    def _filled(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of dumped pages `[first, last)` that do not share the first data, if it is zeros.

        Pages whose descriptors say that they cannot be had are kept in mind, and left out.
        """
        zero = self._zero if self._zeros_are_shared() else -1
        problem = self._data.problem
        for low in range(first, last, _BATCH):
            page = low
            table = self._descriptors(low, min(low + _BATCH, last))
            kinds = [_SHARED if row and row.offset == zero else problem(row) for row in table]
            for kind, group in groupby(kinds):
                count = len(list(group))
                if kind is None:
                    yield page, page + count
                elif kind is not _SHARED:
                    for lost in range(page, page + count):
                        self._lost.add(lost)
                page += count

    def _zeros_are_shared(self) -> bool:
        """Whether the data behind the descriptors is one page of zeros, as all writers have it."""
        if self._zero + self._page > self.source.size:
            return False
        return not any(self.source.read(self._zero, self._page))

    def _descriptors(self, first: int, last: int) -> list[Descriptor | None]:
        """Of pages `[first, last)`, all of them dumped."""
        rank = self._dumped.rank(first)
        return self._data.descriptors(rank, rank + last - first)

    def _ranges(self, runs: Iterator[tuple[int, int]]) -> Iterator[AddressRange]:
        return (AddressRange(low * self._page, high * self._page) for low, high in runs)

    def _fault(self, page: int, address: int, size: int, reason: str, hint: str) -> FaultError:
        fault = max(address, page * self._page)
        return FaultError(self.name, fault, address + size - fault, reason, hint=hint)
