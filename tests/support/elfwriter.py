# SPDX-License-Identifier: MIT
"""Writes ELF cores and LiME dumps for tests, byte by byte from the specifications.

On purpose it shares nothing with `ntbdbg.memory.formats`: two readings of one specification.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

PT_LOAD, PT_NOTE = 1, 4
ET_EXEC, ET_CORE = 2, 4


class Load(NamedTuple):
    """A PT_LOAD: `data` at `paddr`, followed by zeros up to `memsz` (default: none)."""

    paddr: int
    data: bytes
    memsz: int | None = None
    vaddr: int = 0


def note(name: bytes, kind: int, desc: bytes) -> bytes:
    """One note, padded."""
    name += b"\0"
    head = struct.pack("<III", len(name), len(desc), kind)
    return (
        head + name.ljust(-(-len(name) // 4) * 4, b"\0") + desc.ljust(-(-len(desc) // 4) * 4, b"\0")
    )


def prstatus(rip: int, rsp: int) -> bytes:
    """NT_PRSTATUS of an x86-64 CPU whose rax is 1, rbx 2."""
    words = [0] * 27
    words[16], words[19], words[10], words[5] = rip, rsp, 1, 2
    return bytes(112) + struct.pack("<27Q", *words) + bytes(8)


def elf_core(
    loads: Sequence[Load],
    notes: bytes = b"",
    *,
    kind: int = ET_CORE,
    bits: int = 2,
    endian: int = 1,
    many: bool = False,
) -> bytes:
    """A core; `many` counts its program headers in section header 0, as for more than 65534."""
    count = len(loads) + 1
    shoff = 64 + 56 * count if many else 0
    at = 64 + 56 * count + (64 if many else 0)
    ident = b"\x7fELF" + bytes([bits, endian, 1]) + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", kind, 62, 1, 0, 64, shoff, 0, 64, 56,
        0xFFFF if many else count, 64 if many else 0, 1 if many else 0, 0,
    )  # fmt: skip
    table = struct.pack("<IIQQQQQQ", PT_NOTE, 0, at, 0, 0, len(notes), len(notes), 4)
    at += len(notes)
    for load in loads:
        size = len(load.data) if load.memsz is None else load.memsz
        table += struct.pack(
            "<IIQQQQQQ", PT_LOAD, 7, at, load.vaddr, load.paddr, len(load.data), size, 0
        )
        at += len(load.data)
    section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0) if many else b""
    return header + table + section + notes + b"".join(load.data for load in loads)


def lime(ranges: Sequence[tuple[int, bytes]]) -> bytes:
    """A LiME dump of `(address, bytes)`."""
    return b"".join(
        struct.pack("<IIQQQ", 0x4C694D45, 1, start, start + len(data) - 1, 0) + data
        for start, data in ranges
    )
