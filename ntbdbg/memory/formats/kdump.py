# SPDX-License-Identifier: MIT
"""kdump-compressed files, as makedumpfile, QEMU and `ntbdbg export` write them.

The first bitmap says where RAM is, so it makes the segments; a page that is there but not in
the second one was left out of the dump, and reading it is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice

from ntbdbg.errors import FaultError, FormatError
from ntbdbg.memory.base import AddressRange, Segment, SegmentMap
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats import flattened
from ntbdbg.memory.formats.bitmap import PageBitmap
from ntbdbg.memory.formats.kdumpformat import DESCRIPTOR_SIZE, METHODS, Descriptor
from ntbdbg.memory.formats.kdumpheader import KdumpHeader, read_header
from ntbdbg.memory.formats.pagecodec import Decompress, decompressor
from ntbdbg.memory.image import ByteSource, ImageFacts, ImageMemory

MAX_SEGMENTS = 1 << 16

_BATCH = 4096
"""Page descriptors that are looked at in one go."""


def open_image(path: str, name: str) -> KdumpMemory:
    """The memory in the dump at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    file = CheckedFile(path, name, "kdump file")
    try:
        flat = file.read(0, min(16, file.size)) == flattened.SIGNATURE
        source = flattened.FlattenedFile(file) if flat else file
        return KdumpMemory(source, name, read_header(source))
    except BaseException:
        file.close()
        raise


class KdumpMemory(ImageMemory):
    """Memory in compressed pages.

    Offsets of its segments are those of their first page's descriptor, and of no use to others.

    :raises FormatError: the bitmaps make no sense
    """

    def __init__(self, source: ByteSource, name: str, header: KdumpHeader) -> None:
        self.name = name
        self.source = source
        self._path = source.path
        self._page = header.page_size
        self._table = header.descriptors
        self._dumped = PageBitmap(source, header.dumped, header.pages)
        self._zero = self._table + self._dumped.total * DESCRIPTOR_SIZE
        self._codecs: dict[int, Decompress] = {}
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
            fault = max(address, (first + there) * self._page)
            raise FaultError(
                self.name,
                fault,
                address + size - fault,
                f"was left out of the dump{self._filtered}",
                hint="only a dump of all pages has it: makedumpfile -d 0",
            )

    def read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        self.check_backing()
        if size == 0:
            return b""
        first, last = address // self._page, (address + size - 1) // self._page
        data = b"".join(self._contents(page) for page in self._descriptors(first, last + 1))
        skip = address - first * self._page
        return data if len(data) == size else data[skip : skip + size]

    def view(self, address: int, size: int) -> memoryview:
        self.check_view(address, size)
        return memoryview(self.read(address, size))

    def file_offset(self, address: int) -> None:
        """None: pages are compressed."""
        return

    def readable(self) -> Iterator[AddressRange]:
        for run in self.segments.runs():
            for low, high in self._dumped.runs(run.start // self._page, -(-run.end // self._page)):
                part = AddressRange(low * self._page, high * self._page).overlap(run)
                assert part is not None
                yield part

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Ranges of pages that were dumped, but for those that share the page of zeros."""
        self.check_backing()
        for part in super().extents(within):
            first, last = part.start // self._page, -(-part.end // self._page)
            for low, high in self._dumped.runs(first, last):
                for start, end in self._filled(low, high):
                    stretch = AddressRange(start * self._page, end * self._page).overlap(part)
                    assert stretch is not None
                    yield stretch

    def _segments(self, header: KdumpHeader) -> Iterator[Segment]:
        """RAM: runs of the first bitmap, which is coarse even where the dump was filtered."""
        exist = PageBitmap(self.source, header.exist, header.pages)
        runs = list(islice(exist.runs(), MAX_SEGMENTS + 1))
        if len(runs) > MAX_SEGMENTS or not runs:
            words = f"in more than {MAX_SEGMENTS} pieces" if runs else "nowhere"
            raise FormatError(self._path, header.exist, f"its bitmap says that RAM is {words}")
        for first, last in runs:
            offset = self._table + self._dumped.rank(first) * DESCRIPTOR_SIZE
            yield Segment(first * self._page, (last - first) * self._page, offset)

    def _filled(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of dumped pages `[first, last)` that do not share the first data, if it is zeros."""
        if not self._zeros_are_shared():
            yield first, last
            return
        for low in range(first, last, _BATCH):
            page = low
            table = self._descriptors(low, min(low + _BATCH, last))
            for filled, group in groupby(table, key=lambda page: page.offset != self._zero):
                count = len(list(group))
                if filled:
                    yield page, page + count
                page += count

    def _zeros_are_shared(self) -> bool:
        """Whether the data behind the descriptors is one page of zeros, as all writers have it."""
        if self._zero + self._page > self.source.size:
            return False
        return not any(self.source.read(self._zero, self._page))

    def _descriptors(self, first: int, last: int) -> list[Descriptor]:
        """Of pages `[first, last)`, all of them dumped."""
        start = self._table + self._dumped.rank(first) * DESCRIPTOR_SIZE
        size = (last - first) * DESCRIPTOR_SIZE
        if start + size > self.source.size:
            raise FormatError(self._path, start, "ends within its page descriptors", hint=_WHOLE)
        return Descriptor.parse_table(self.source.read(start, size))

    def _contents(self, page: Descriptor) -> bytes:
        if page.size > 2 * self._page or page.offset + page.size > self.source.size:
            claim = f"a page's data claims {page.size:#x} bytes at {page.offset:#x}"
            raise FormatError(self._path, page.offset, claim, hint=_WHOLE)
        data = self.source.read(page.offset, page.size)
        method = next((flag for flag in METHODS if page.flags & flag), 0)
        if method:
            data = self._decompressed(data, page, method)
        if len(data) != self._page:
            reason = f"a page's data makes {len(data)} bytes, not {self._page}"
            raise FormatError(self._path, page.offset, reason, hint=_WHOLE)
        return data

    def _decompressed(self, data: bytes, page: Descriptor, method: int) -> bytes:
        if method not in self._codecs:
            self._codecs[method] = decompressor(method)
        try:
            return self._codecs[method](data, self._page)
        except ValueError as error:
            reason = f"a page cannot be decompressed ({METHODS[method]}): {error}"
            raise FormatError(self._path, page.offset, reason, hint=_WHOLE) from None


_WHOLE = "the dump is damaged or incomplete; other pages of it may be fine"
