# SPDX-License-Identifier: MIT
"""Guest-physical memory in a plain buffer: for tests, and for bytes that came from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from ntbdbg.errors import UsageError
from ntbdbg.memory.base import PhysicalMemory, Segment, SegmentMap


class BufferMemory(PhysicalMemory):
    """`data` as a guest's RAM; writable if `data` is.

    :param data: the backing; segments' offsets count from its first byte
    :param segments: where its pieces lie, by default all of it from address 0 on
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        segments: Sequence[Segment] | None = None,
        *,
        name: str = "buffer",
        is_live: bool = False,
    ) -> None:
        self.name = name
        self.is_live = is_live
        self._data = memoryview(data).cast("B")
        whole = [Segment(0, len(self._data), 0)] if len(self._data) else []
        self.segments = SegmentMap(whole if segments is None else segments)
        self.segments.check_backing(len(self._data), name)

    def read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        pieces = self.segments.pieces(address, size)
        return b"".join(self._slice(*piece) for piece in pieces)

    def view(self, address: int, size: int) -> memoryview:
        segment = self.check_view(address, size)
        return self._slice(segment, address, size).toreadonly()

    def check_backing(self) -> None:
        pass  # nothing but this process can take it away

    def write(self, address: int, data: bytes) -> None:
        self.check(address, len(data))
        if self._data.readonly:
            raise UsageError(f"{self.name}: is read-only", hint="give a bytearray to write to it")
        done = 0
        for segment, start, size in self.segments.pieces(address, len(data)):
            self._slice(segment, start, size)[:] = data[done : done + size]
            done += size

    def _slice(self, segment: Segment, address: int, size: int) -> memoryview:
        offset = address - segment.start + segment.offset
        return self._data[offset : offset + size]
