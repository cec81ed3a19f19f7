# SPDX-License-Identifier: MIT
"""Writes kdump-compressed files for tests, plain or flattened, from makedumpfile's description.

On purpose it shares nothing with `ntbdbg.memory.formats`: two readings of one description.
"""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import cramjam
import zstandard

PAGE = 4096


def _lzo(data: bytes) -> bytes:
    library = ctypes.CDLL("liblzo2.so.2")
    out, size = ctypes.create_string_buffer(len(data) + len(data) // 16 + 67), ctypes.c_size_t(0)
    work = ctypes.create_string_buffer(1 << 17)
    assert (
        library.lzo1x_1_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size), work)
        == 0
    )
    return out.raw[: size.value]


#: method → (flag, how)
METHODS: Mapping[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (0, bytes),
    "zlib": (1, lambda data: zlib.compress(data, 1)),
    "lzo": (2, _lzo),
    "snappy": (4, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "zstd": (0x20, zstandard.ZstdCompressor().compress),
}


def bitmap(pages: Iterable[int], size: int) -> bytes:
    """`size` bytes with the bits of `pages` set."""
    bits = bytearray(size)
    for page in pages:
        bits[page // 8] |= 1 << page % 8
    return bytes(bits)


def kdump(
    pages: Mapping[int, bytes],
    method: str = "zlib",
    *,
    absent: Sequence[int] = (),
    notes: bytes = b"",
    vmcoreinfo: bytes = b"",
    version: int = 6,
    status: int = 0,
    split: int = 0,
    level: int = 0,
    max_mapnr: int | None = None,
    bitmaps: int = 2,
) -> bytes:
    """A dump of `pages` by number; those in `absent` exist and were left out.

    :param bitmaps: 1 has a single one, which must have room for fewer pages than twice these
    """
    highest = max([*pages, *absent]) + 1
    half = -(-highest // (8 * PAGE)) * PAGE
    extra = notes + vmcoreinfo
    sub_blocks = -(-(104 + len(extra)) // PAGE)
    flag, compress = METHODS[method]
    header = struct.pack("<8si", b"KDUMP   ", version) + bytes(390 + 6 + 16)
    header += struct.pack(
        "<IiiIIIIIIi", status | flag, PAGE, sub_blocks, half * bitmaps // PAGE,
        min(highest, 2**32 - 1), 0, 0, len(pages), 0, 1,
    )  # fmt: skip
    at = PAGE + 104
    sub = struct.pack(
        "<QiiQQQQQQQQQQQ", 0, level, split, 0, 0, at + len(notes), len(vmcoreinfo), at, len(notes),
        0, 0, 0, 0, highest if max_mapnr is None else max_mapnr,
    )  # fmt: skip
    front = header.ljust(PAGE, b"\0") + (sub + extra).ljust(sub_blocks * PAGE, b"\0")
    front += b"".join([bitmap([*pages, *absent], half), bitmap(pages, half)][:bitmaps])
    return front + _pages(pages, len(front), flag, compress)


def _pages(
    pages: Mapping[int, bytes], at: int, flag: int, compress: Callable[[bytes], bytes]
) -> bytes:
    """Descriptors and data; pages of zeros share the first data."""
    data = bytearray(PAGE)
    start = at + 24 * len(pages)
    table = bytearray()
    for number in sorted(pages):
        page = pages[number]
        if not any(page):
            table += struct.pack("<QIIQ", start, PAGE, 0, 0)
            continue
        packed = compress(page)
        if len(packed) >= PAGE:
            packed, flags = page, 0
        else:
            flags = flag
        table += struct.pack("<QIIQ", start + len(data), len(packed), flags, 0)
        data += packed
    return bytes(table + data)


def flattened(dump: bytes, piece: int = 16384, *, end: bool = True) -> bytes:
    """`dump` in makedumpfile's flattened format; holes of whole zero pieces are left out."""
    out = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    for at in range(0, len(dump), piece):
        part = dump[at : at + piece]
        if any(part) or at + piece >= len(dump):
            out += struct.pack(">qq", at, len(part)) + part
    return out + (struct.pack(">qq", -1, -1) if end else b"")
