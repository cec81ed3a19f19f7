# SPDX-License-Identifier: MIT
"""makedumpfile's flattened format: a dump in pieces, each with the offset where it belongs.

It can be written to a pipe, which is why QEMU's kdump formats are in it as well. Source:
makedumpfile, ``struct makedumpfile_header`` and ``makedumpfile_data_header``; big-endian.
"""

from __future__ import annotations

import heapq
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from ntbdbg.errors import FormatError
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.segments import AddressRange, joined

SIGNATURE = b"makedumpfile\0\0\0\0"
HEADER_SIZE = 4096
TYPE = VERSION = 1
END = -1
MAX_RECORDS = 1 << 22
MOST_PARTS = 1 << 16
"""Stretches without a gap that are told of a file that is cut short."""

_HEADER = struct.Struct(">16sqq")
_RECORD = struct.Struct(">qq")

Piece = tuple[int, int, int]
"""Offset in the dump, size, position in the file."""


def build_header() -> bytes:
    """The start of a flattened file."""
    return _HEADER.pack(SIGNATURE, TYPE, VERSION).ljust(HEADER_SIZE, b"\0")


def build_record(offset: int, size: int) -> bytes:
    """What precedes `size` bytes that belong at `offset`."""
    return _RECORD.pack(offset, size)


END_RECORD = _RECORD.pack(END, END)


class FlattenedFile:
    """The dump that a flattened file describes; what it leaves out reads as zeros.

    :ivar size: bytes of the dump
    :ivar truncated: whether the file ends before its end mark
    :raises FormatError: it is of another version, or makes no sense
    """

    def __init__(self, file: CheckedFile) -> None:
        self.path = file.path
        self._file = file
        self.truncated = True
        _check_header(file)
        pieces = _disjoint(list(self._records()))
        self._offsets = array("Q", (piece[0] for piece in pieces))
        self._sizes = array("Q", (piece[1] for piece in pieces))
        self._positions = array("Q", (piece[2] for piece in pieces))
        self.size = self._offsets[-1] + self._sizes[-1] if pieces else 0

    def check(self) -> None:
        self._file.check()

    def close(self) -> None:
        self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        at = offset
        for start, end, position in self._pieces(offset, offset + size):
            parts += (bytes(start - at), self._file.read(position, end - start))
            at = end
        parts.append(bytes(offset + size - at))
        return b"".join(parts)

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Parts of `[start, end)` that the file has bytes for."""
        return ((low, high) for low, high, _ in self._pieces(start, end))

    def present(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Parts of `[start, end)` that the file was not cut short of, `MOST_PARTS` at most.

        What a whole file leaves out is zeros; of one without end mark nobody knows.
        """
        if self.truncated:
            yield from islice(_joined(self.data_ranges(start, end)), MOST_PARTS)
        elif start < min(end, self.size):
            yield start, min(end, self.size)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """`(low, high, position)` of what the file has of `[start, end)`."""
        index = max(0, bisect_right(self._offsets, start) - 1)
        while index < len(self._offsets) and self._offsets[index] < end:
            offset = self._offsets[index]
            low, high = max(start, offset), min(end, offset + self._sizes[index])
            if low < high:
                yield low, high, self._positions[index] + low - offset
            index += 1

    def _records(self) -> Iterator[Piece]:
        at, count = HEADER_SIZE, 0
        while at + _RECORD.size <= self._file.size:
            offset, size = _RECORD.unpack(self._file.read(at, _RECORD.size))
            if offset == END and size == END:
                self.truncated = False
                return
            count += 1
            if offset < 0 or size < 0 or offset + size >= 1 << 63 or count > MAX_RECORDS:
                raise FormatError(
                    self.path,
                    at,
                    f"piece {count} of the flattened dump claims {size:#x} bytes at {offset:#x}",
                    hint="'makedumpfile -R' puts a flattened dump together",
                )
            at += _RECORD.size
            have = min(size, self._file.size - at)
            if have > 0:
                yield offset, have, at
            at += size


def _joined(parts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    return ((low, high) for low, high in joined(AddressRange(*part) for part in parts))


def _check_header(file: CheckedFile) -> None:
    if file.size < HEADER_SIZE:
        raise FormatError(file.path, file.size, "ends within the header of a flattened dump")
    _, kind, version = _HEADER.unpack(file.read(0, _HEADER.size))
    if (kind, version) != (TYPE, VERSION):
        raise FormatError(file.path, 16, f"flattened dump of type {kind}, version {version}")


def _disjoint(pieces: list[Piece]) -> list[Piece]:
    """`pieces`, which are in the order of writing, by offset; later ones win where they overlap."""
    ordered = sorted(pieces)
    if all(a[0] + a[1] <= b[0] for a, b in pairwise(ordered)):
        return ordered
    return list(_swept(ordered))


def _swept(ordered: list[Piece]) -> Iterator[Piece]:
    """Walk along the offsets; among the pieces open at each, the one latest in the file shows."""
    borders = sorted({p[0] for p in ordered} | {p[0] + p[1] for p in ordered})
    waiting: list[tuple[int, Piece]] = []
    index = 0
    for low, high in pairwise(borders):
        while index < len(ordered) and ordered[index][0] <= low:
            heapq.heappush(waiting, (-ordered[index][2], ordered[index]))
            index += 1
        while waiting and waiting[0][1][0] + waiting[0][1][1] <= low:
            heapq.heappop(waiting)
        if waiting:
            offset, _, position = waiting[0][1]
            yield low, high - low, position + low - offset
