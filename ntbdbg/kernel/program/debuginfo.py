# SPDX-License-Identifier: MIT
"""Whether a file has debug information, told from its section headers alone."""

from __future__ import annotations

import os
import struct

from ntbdbg.errors import PathLike

_SECTION = struct.Struct("<I20xQQ24x")
MOST_SECTIONS = 4096
MOST_NAMES = 1 << 20


def has_debug_info(path: PathLike) -> bool:
    """Whether `path` is a 64-bit little-endian ELF file with DWARF; False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return any(name.startswith(b".debug_info") for name in _sections(file.fileno()))
    except (OSError, struct.error):
        return False


def _sections(fd: int) -> list[bytes]:
    """Names of the sections of an ELF64 file (System V ABI, "Sections")."""
    head = os.pread(fd, 64, 0)
    (table,) = struct.unpack_from("<Q", head, 0x28)
    size, count, names = struct.unpack_from("<3H", head, 0x3A)
    if head[:6] != b"\x7fELF\x02\x01" or size != 64 or not names < count <= MOST_SECTIONS:
        return []
    raw = os.pread(fd, size * count, table)
    rows = [_SECTION.unpack_from(raw, size * index) for index in range(count)]
    text = os.pread(fd, min(rows[names][2], MOST_NAMES), rows[names][1])
    return [text[start : text.find(b"\0", start)] for start, _, _ in rows]
