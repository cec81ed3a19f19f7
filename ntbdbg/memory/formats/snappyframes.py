# SPDX-License-Identifier: MIT
"""Where the chunks of snappy's framed format are.

Source: google/snappy, ``framing_format.txt``: a type of one byte and a length of three, then as
many bytes. Data begins with a checksum; compressed data then says how long it will be.
"""

from __future__ import annotations

from collections.abc import Iterator

from ntbdbg.memory.file import CheckedFile

IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"
"""The chunk that every stream begins with."""

MAX_CONTENT = 1 << 16
"""Bytes that come out of one chunk at most (section 4.2)."""

_HEAD, _CHECKSUM, _VARINT = 4, 4, 5
_COMPRESSED, _PLAIN = 0x00, 0x01
_SKIPPED = range(0x80, 0x100)


def chunk_at(file: CheckedFile, at: int) -> tuple[int, int] | None:
    """Bytes that the chunk at `at` takes, and that come out of it; None if it makes no sense."""
    data = file.read(at, max(0, min(_HEAD + _CHECKSUM + _VARINT, file.size - at)))
    if len(data) < _HEAD:
        return None
    kind, size = data[0], int.from_bytes(data[1:_HEAD], "little")
    if at + _HEAD + size > file.size:
        return None
    if kind in _SKIPPED:
        return _HEAD + size, 0
    content = -1
    if kind == _PLAIN:
        content = size - _CHECKSUM
    elif kind == _COMPRESSED:
        content = _varint(data[_HEAD + _CHECKSUM :])
    return (_HEAD + size, content) if 0 <= content <= MAX_CONTENT else None


def chunks(file: CheckedFile, at: int, wanted: int) -> Iterator[tuple[int, int]]:
    """The chunks from `at` on, until `wanted` bytes come out of them or one makes no sense."""
    while wanted > 0:
        sizes = chunk_at(file, at)
        if sizes is None or sizes[1] > wanted:
            return
        yield sizes
        at, wanted = at + sizes[0], wanted - sizes[1]


def _varint(data: bytes) -> int:
    """A little-endian number, seven bits a byte; negative if it has no end."""
    number = 0
    for index, byte in enumerate(data[:_VARINT]):
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number
    return -1
