# SPDX-License-Identifier: MIT
"""Where the frames of a zstd file are: by the index at its end, or by going through them.

The index is that of zstd's own "seekable format" (``contrib/seekable_format`` of facebook/zstd,
version 0.1.0): a skippable frame with the sizes of all frames before it. Frame layout: RFC 8878,
section 3.1. Every size is a claim; nothing that is beyond the bounds below is believed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.memory.file import CheckedFile

Sizes = tuple[int, int]
"""Bytes that a frame takes in the file, and bytes that come out of it."""

MAGIC = b"\x28\xb5\x2f\xfd"
"""The first bytes of a zstd frame."""

MAX_FRAME = 1 << 20
"""Bytes that come out of one frame at most."""

MAX_PACKED = MAX_FRAME + (1 << 16)
"""Bytes that a frame takes at most; what cannot be compressed grows a little."""

MAX_FRAMES = 1 << 21

_TABLE_MAGIC = 0x184D2A5E
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_FOOTER = struct.Struct("<IBI")
_FOOTER_MAGIC = 0x8F92EAB1
TABLE_END = _FOOTER_MAGIC.to_bytes(4, "little")
"""The last bytes of a file with an index."""

_HEAD = struct.Struct("<II")
_ENTRY = 8
_MAX_TABLE = _HEAD.size + _ENTRY * MAX_FRAMES + _FOOTER.size
_MOST_COPIES = 1000
_CHECKSUMS = 0x80
_MAX_HEADER = 18
_RLE, _RESERVED = 1, 3


def indexed(file: CheckedFile) -> list[Sizes] | None:
    """The frames by the index; None if there is none or it is wrong."""
    return _table(file, file.identity.size)


def indexed_by_copy(file: CheckedFile) -> list[Sizes] | None:
    """The same by the copy that lies before the index."""
    return next(filter(None, map(partial(_table, file), _copies(file))), None)


def is_copy_damaged(file: CheckedFile, sizes: Sequence[Sizes]) -> bool:
    """Whether the index `sizes` has a copy that is not as it was written."""
    *before, (size, content) = sizes
    start = sum(packed for packed, _ in before)
    return not content and file.read(start, size) != seek_table(before)


def _table(file: CheckedFile, end: int) -> list[Sizes] | None:
    """The index that ends at `end`, if it fits what is before it."""
    if end < _HEAD.size + _FOOTER.size:
        return None
    count, flags, magic = _FOOTER.unpack(file.read(end - _FOOTER.size, _FOOTER.size))
    entry = _ENTRY + (4 if flags & _CHECKSUMS else 0)
    size = entry * count + _FOOTER.size
    start = end - size - _HEAD.size
    if magic != _FOOTER_MAGIC or not 0 < count <= MAX_FRAMES or start < 0:
        return None
    if _HEAD.unpack(file.read(start, _HEAD.size)) != (_TABLE_MAGIC, size):
        return None
    raw = file.read(start + _HEAD.size, entry * count)
    sizes = [(s[0], s[1]) for s in struct.iter_unpack(f"<{entry // 4}I", raw)]
    whole = sum(packed for packed, _ in sizes) == start
    return sizes if whole and all(map(_plausible, sizes)) else None


def walked(file: CheckedFile) -> Iterator[Sizes]:
    """The frames one after the other, up to the first that is not whole."""
    at = 0
    for _ in range(MAX_FRAMES):
        sizes = _frame_at(file, at)
        if sizes is None or not _plausible(sizes):
            return
        yield sizes
        at += sizes[0]


def double_table(sizes: Sequence[Sizes]) -> bytes:
    """The index twice: the first one is a frame that the second one mentions."""
    copy = seek_table(sizes)
    return copy + seek_table([*sizes, (len(copy), 0)])


def seek_table(sizes: Iterable[Sizes]) -> bytes:
    """The index of these frames, to be put behind them."""
    entries = b"".join(_HEAD.pack(*pair) for pair in sizes)
    size = len(entries) + _FOOTER.size
    footer = _FOOTER.pack(len(entries) // _HEAD.size, 0, _FOOTER_MAGIC)
    return _HEAD.pack(_TABLE_MAGIC, size) + entries + footer


def _copies(file: CheckedFile) -> Iterator[int]:
    """Where a copy of the index may end: so long before the end as the longer index takes."""
    size = file.identity.size
    base = max(0, size - 2 * _MAX_TABLE)
    tail = file.read(base, size - base)
    at = len(tail)
    for _ in range(_MOST_COPIES):
        at = tail.rfind(TABLE_END, 0, max(0, at))
        if at < _FOOTER.size - len(TABLE_END):
            return
        end = at + len(TABLE_END)
        count, _, _ = _FOOTER.unpack_from(tail, end - _FOOTER.size)
        if base + end + _HEAD.size + (count + 1) * _ENTRY + _FOOTER.size == size:
            yield base + end


def _frame_at(file: CheckedFile, start: int) -> Sizes | None:
    import zstandard

    head = _peek(file, start, _MAX_HEADER)
    if len(head) >= _HEAD.size and _HEAD.unpack_from(head)[0] in _SKIPPABLE:
        size = _HEAD.size + _HEAD.unpack_from(head)[1]
        return (size, 0) if start + size <= file.identity.size else None
    try:
        claims = zstandard.get_frame_parameters(head)
        at = start + zstandard.frame_header_size(head)
    except zstandard.ZstdError:
        return None
    end = _blocks_end(file, at, start + MAX_PACKED)
    if end is None:
        return None
    end += 4 if claims.has_checksum else 0
    return (end - start, claims.content_size) if end <= file.identity.size else None


def _blocks_end(file: CheckedFile, at: int, limit: int) -> int | None:
    """Where the blocks end that start at `at`, None if the file does before that."""
    while at < limit:
        head = int.from_bytes(_peek(file, at, 3), "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == _RLE else size)
        if kind == _RESERVED or at > file.identity.size:
            return None
        if last:
            return at
    return None


def _peek(file: CheckedFile, offset: int, size: int) -> bytes:
    left = max(0, file.identity.size - offset)
    return file.read(offset, min(size, left)) if left else b""


def _plausible(sizes: Sizes) -> bool:
    """Whether a frame can be so; what is skipped (no content) may be longer."""
    packed, content = sizes
    return packed > 0 and 0 <= content <= MAX_FRAME and (packed <= MAX_PACKED or not content)
