# SPDX-License-Identifier: MIT
"""Guest-physical memory inside a packed capture, unpacked frame by frame where it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, FormatError
from ntbdbg.memory.base import AddressRange, PhysicalMemory, Segment, SegmentMap
from ntbdbg.memory.ramfile import never_changed
from ntbdbg.memory.segments import joined

if TYPE_CHECKING:
    from ntbdbg.memory.framed import FramedFile

_UNKNOWN, _DATA, _ZEROS, _DAMAGED = range(4)


class PackedMemory(PhysicalMemory):
    """Read-only memory whose bytes are part of the content of `packed`.

    What lies in damaged frames faults, and no extent covers it, so that scans pass over it.

    :param offset: where in the content the bytes of segment offset 0 are
    :param segments: where pieces lie; their offsets count from there
    """

    def __init__(
        self, packed: FramedFile, offset: int, segments: Sequence[Segment], *, name: str
    ) -> None:
        self.name = name
        self.is_live = False
        self.packed = packed
        self.segments = SegmentMap(segments)
        self._base = offset
        self.segments.check_backing(max(0, packed.size - offset), name)
        self._kinds = bytearray(len(packed))

    def read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        self.check_backing()
        pieces = self.segments.pieces(address, size)
        parts = [part for piece in pieces for part in self._read(*piece)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def view(self, address: int, size: int) -> memoryview:
        self.check_view(address, size)
        return memoryview(self.read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self.check(address, len(data))
        raise never_changed(self.name)

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Ranges in whole frames that hold something other than zeros."""
        yield from self._in_frames(within, (_DATA,))

    def readable(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        yield from joined(self._in_frames(within, (_DATA, _ZEROS)))

    def _in_frames(
        self, within: AddressRange | None, kinds: tuple[int, ...]
    ) -> Iterator[AddressRange]:
        """What of RAM lies in frames of these kinds."""
        self.check_backing()
        for part in super().extents(within):
            segment = self.segments.find(part.start)
            assert segment is not None
            shift = self._base + segment.offset - segment.start
            for start, end in self._content(part.start + shift, part.end + shift, kinds):
                yield AddressRange(start - shift, end - shift)

    def check_backing(self) -> None:
        self.packed.file.check()

    def close(self) -> None:
        self.packed.close()

    def allocated(self) -> int:
        """Bytes of its content that are in frames other than of zeros."""
        return sum(extent.size for extent in self.extents())

    def _read(self, segment: Segment, address: int, size: int) -> Iterator[bytes]:
        start = self._base + segment.offset - segment.start
        for index, low, high in self.packed.pieces(start + address, size):
            try:
                yield self.packed.unpack(index)[low:high]
            except FormatError as error:
                raise self._damaged(error, address, size) from error
            address, size = address + high - low, size - (high - low)

    def _damaged(self, error: FormatError, address: int, size: int) -> FaultError:
        reason = f"cannot be read: {error.message}"
        return FaultError(self.name, address, size, reason, hint=error.hint)

    def _content(self, start: int, end: int, kinds: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Parts of the content from `start` to `end` in frames of these kinds, joined."""
        low = high = start
        while start < end:
            index = self.packed.index_at(start)
            stop = min(end, self.packed[index].content[1])
            if self._kind(index) in kinds:
                low, high = (low if high == start else start), stop
            elif low < high:
                yield low, high
                low = high
            start = stop
        if low < high:
            yield low, high

    def _kind(self, index: int) -> int:
        if self._kinds[index] == _UNKNOWN:
            self._kinds[index] = self._look(index)
        return self._kinds[index]

    def _look(self, index: int) -> int:
        try:
            data = self.packed.unpack(index)
        except FormatError:
            return _DAMAGED
        return _ZEROS if data == bytes(len(data)) else _DATA
