# SPDX-License-Identifier: MIT
"""Writes compressed AVML dumps for tests, from the description of snappy's framed format.

On purpose it shares nothing with `ntbdbg.memory.formats`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from cramjam import snappy


def avml(ranges: Sequence[tuple[int, bytes]], *, lengths: bool = True) -> bytes:
    """A dump of `(address, bytes)`; each range is followed by the length of its stream."""
    return b"".join(_range(start, data, lengths) for start, data in ranges)


def _range(start: int, data: bytes, lengths: bool) -> bytes:
    stream = bytes(snappy.compress(data))
    head = struct.pack("<4sIQQQ", b"AVML", 2, start, start + len(data) - 1, 0)
    return head + stream + (struct.pack("<Q", len(stream)) if lengths else b"")
