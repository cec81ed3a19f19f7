# SPDX-License-Identifier: MIT
"""Memory that lies in a dump piece by piece, uncompressed: ELF cores, LiME."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ntbdbg.errors import FaultError
from ntbdbg.memory.base import AddressRange, PhysicalMemory, Segment, SegmentMap
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats.claims import Settled
from ntbdbg.memory.image import ByteSource, ImageFacts, ImageMemory
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import overlaps, without


class StoredMemory(ImageMemory):
    """Pieces of a dump, stretches of zeros that it only mentions, and what it was cut short of.

    :param settled: where all that is
    :raises TargetError: the file cannot be read
    """

    def __init__(self, source: ByteSource, settled: Settled, name: str, facts: ImageFacts) -> None:
        self.name = name
        self.facts = facts
        self.source = source
        self._pieces = _pieces(source, settled.stored, name)
        self._zeros = _unstored(settled.zeros)
        self._missing = _unstored(settled.missing)
        self._is_simple = not settled.zeros and not settled.missing
        self.segments = SegmentMap([*settled.stored, *self._zeros, *self._missing])

    def check(self, address: int, size: int) -> None:
        super().check(address, size)
        lost = next(self._missing.within(AddressRange(address, address + size)), None)
        if lost is not None:
            raise FaultError(
                self.name,
                lost.start,
                address + size - lost.start,
                "cannot be read: the dump was cut short before it",
                hint="only a copy of the whole dump has it",
            )

    def read(self, address: int, size: int) -> bytes:
        if self._is_simple:
            return self._pieces.read(address, size)
        self.check(address, size)
        self.check_backing()
        return b"".join(self._piece(*piece) for piece in self.segments.pieces(address, size))

    def readinto(self, address: int, buffer: memoryview) -> None:
        if self._is_simple:
            self._pieces.readinto(address, buffer)
        else:
            super().readinto(address, buffer)

    @property
    def knows_holes(self) -> bool:  # type: ignore[override]
        return self._pieces.knows_holes

    def file_offset(self, address: int) -> int | None:
        return self._pieces.file_offset(address)

    def view(self, address: int, size: int) -> memoryview:
        segment = self.check_view(address, size)
        if self._zeros.find(segment.start) is not None:
            return memoryview(bytes(size))
        return self._pieces.view(address, size)

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        return self._pieces.extents(within)

    def readable(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        whole = without(self.segments.runs(), (segment.range for segment in self._missing))
        return whole if within is None else overlaps(whole, iter([within]))

    def _piece(self, segment: Segment, address: int, size: int) -> bytes:
        if self._zeros.find(segment.start) is not None:
            return bytes(size)
        return self.source.read(address - segment.start + segment.offset, size)


class SourceMemory(ImageMemory):
    """Pieces of a dump that is no file as it is: nothing of it can be mapped."""

    def __init__(self, source: ByteSource, pieces: Iterable[Segment], name: str) -> None:
        self.name = name
        self.source = source
        self.segments = SegmentMap(list(pieces))

    def read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        self.check_backing()
        pieces = self.segments.pieces(address, size)
        return b"".join(
            self.source.read(at - segment.start + segment.offset, length)
            for segment, at, length in pieces
        )

    def view(self, address: int, size: int) -> memoryview:
        self.check_view(address, size)
        return memoryview(self.read(address, size))

    def file_offset(self, address: int) -> None:
        """None: it lies in many places of the file."""
        return

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        for part in super().extents(within):
            segment = self.segments.find(part.start)
            assert segment is not None
            shift = segment.offset - segment.start
            for low, high in self.source.data_ranges(part.start + shift, part.end + shift):
                yield AddressRange(low - shift, high - shift)


def _pieces(source: ByteSource, stored: list[Segment], name: str) -> PhysicalMemory:
    if isinstance(source, CheckedFile):
        return RamFile(source.path, stored, name=name, is_live=False, file=source)
    return SourceMemory(source, stored, name)


def _unstored(ranges: Iterable[AddressRange]) -> SegmentMap:
    return SegmentMap([Segment(part.start, part.size, 0) for part in ranges])
