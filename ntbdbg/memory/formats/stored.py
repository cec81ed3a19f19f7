# SPDX-License-Identifier: MIT
"""Memory that lies in a file piece by piece, uncompressed: ELF cores, LiME."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ntbdbg.memory.base import AddressRange, Segment, SegmentMap
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.image import ImageFacts, ImageMemory
from ntbdbg.memory.ramfile import RamFile


class StoredMemory(ImageMemory):
    """Pieces of the file at `path`, and stretches of zeros that it only mentions.

    :param stored: where the pieces lie
    :param zeros: stretches without bytes in the file
    :raises TargetError: the file cannot be read
    """

    def __init__(
        self,
        source: CheckedFile,
        stored: Sequence[Segment],
        zeros: Sequence[Segment],
        name: str,
        facts: ImageFacts,
    ) -> None:
        self.name = name
        self.facts = facts
        self.source = source
        self._file = RamFile(source.path, stored, name=name, is_live=False, file=source)
        self._zeros = SegmentMap(zeros)
        self.segments = SegmentMap([*stored, *zeros]) if zeros else self._file.segments

    def read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        if not self._zeros:
            return self._file.read(address, size)
        self.check_backing()
        return b"".join(self._piece(*piece) for piece in self.segments.pieces(address, size))

    def readinto(self, address: int, buffer: memoryview) -> None:
        if not self._zeros:
            self._file.readinto(address, buffer)
        else:
            super().readinto(address, buffer)

    @property
    def knows_holes(self) -> bool:  # type: ignore[override]
        return self._file.knows_holes

    def file_offset(self, address: int) -> int | None:
        return self._file.file_offset(address)

    def view(self, address: int, size: int) -> memoryview:
        segment = self.check_view(address, size)
        if self._zeros.find(segment.start) is not None:
            return memoryview(bytes(size))
        return self._file.view(address, size)

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        return self._file.extents(within)

    def _piece(self, segment: Segment, address: int, size: int) -> bytes:
        if self._zeros.find(segment.start) is not None:
            return bytes(size)
        return self._file.file.read(address - segment.start + segment.offset, size)


class Claims:
    """Gathers a file's claims about where memory lies, first come, first served.

    The kernel's own text is in a vmcore twice, as is whatever two virtual addresses map, so
    claims may overlap; memory shall be disjoint.
    """

    def __init__(self, file_size: int) -> None:
        self._file_size = file_size
        self._claims: list[tuple[int, int, int, int]] = []
        self.missing = 0
        self.zeros = 0

    def add(self, start: int, size: int, offset: int, stored: int) -> None:
        """`size` bytes at `start`; the first `stored` of them lie at `offset`, the rest is zero."""
        self._claims.append((start, size, offset, min(stored, size)))

    def settle(self) -> tuple[list[Segment], list[Segment]]:
        """What is stored and what is zero, disjoint and within the file."""
        stored: list[Segment] = []
        zeros: list[Segment] = []
        end = 0
        # The larger of two that start alike: it holds more.
        for start, size, offset, have in sorted(self._claims, key=lambda c: (c[0], -c[3], -c[1])):
            cut = max(0, end - start)
            if cut >= size:
                continue
            room = max(0, self._file_size - offset)
            self.missing += max(0, have - max(room, cut))
            self.zeros += size - max(have, cut)
            if min(have, room) > cut:
                stored.append(Segment(start + cut, min(have, room) - cut, offset + cut))
            if size > max(have, cut):
                beyond = max(have, cut)
                zeros.append(Segment(start + beyond, size - beyond, offset + beyond))
            end = start + size
        return _joined(stored), _joined(zeros)


def _joined(segments: list[Segment]) -> list[Segment]:
    """Segments that go on where the one before ends, in memory and in the file, become one."""
    joined: list[Segment] = []
    for segment in segments:
        last = joined[-1] if joined else None
        if last and (last.end, last.offset + last.size) == (segment.start, segment.offset):
            joined[-1] = last._replace(size=last.size + segment.size)
        else:
            joined.append(segment)
    return joined
