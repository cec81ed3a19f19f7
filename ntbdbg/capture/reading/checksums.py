# SPDX-License-Identifier: MIT
"""``checksums.json``: a CRC-32 for each 1 MiB of each file, so that damage has a place.

They find what storage and transport do to a capture; they are no signature. zlib's CRC-32 is in
every language and the fastest that Python has, which decides: it runs over all of the RAM.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from ntbdbg.capture.reading.form import MAX_RAM
from ntbdbg.errors import FormatError

BLOCK = 1 << 20
"""Bytes under one checksum."""

SCHEMA = 1
ALGORITHM = "crc32"
MAX_FILE = 16 << 20
"""Bytes of checksums.json that are read: enough for 2 TiB."""

SUM_SIZE = 4


class Sums(NamedTuple):
    """Checksums of a file.

    :ivar size: bytes of the file
    :ivar blocks: `SUM_SIZE` bytes, high byte first, for each `BLOCK`; the last may be short
    """

    size: int
    blocks: bytes

    def block(self, number: int) -> bytes:
        """The checksum of one block."""
        return self.blocks[number * SUM_SIZE : (number + 1) * SUM_SIZE]


class Damage(NamedTuple):
    """A part of a file that is not what was written.

    :ivar file: its name
    :ivar start: offset
    :ivar end: offset behind it
    :ivar reason: as a clause
    """

    file: str
    start: int
    end: int
    reason: str


def build(sums: Mapping[str, Sums]) -> bytes:
    """The content of checksums.json."""
    files = {name: {"size": size, "blocks": blocks.hex()} for name, (size, blocks) in sums.items()}
    data = {"schema": SCHEMA, "algorithm": ALGORITHM, "block": BLOCK, "files": files}
    return json.dumps(data, indent=1).encode() + b"\n"


def parse(data: bytes, path: str) -> dict[str, Sums]:
    """What `build` built; raises FormatError."""
    try:
        parsed = json.loads(data)
        known = (parsed["schema"], parsed["algorithm"], parsed["block"])
        if known != (SCHEMA, ALGORITHM, BLOCK):
            raise ValueError("its checksums are of a kind that is not known here")
        return {str(name): _sums(entry) for name, entry in parsed["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, None, f"is not understood: {error}", hint=LOST) from None


def _sums(entry: Mapping[str, object]) -> Sums:
    size, digits = entry["size"], entry["blocks"]
    if type(size) is not int or not 0 <= size <= MAX_RAM or not isinstance(digits, str):
        raise ValueError("a size or its blocks make no sense")
    blocks = bytes.fromhex(digits)
    if len(blocks) != SUM_SIZE * -(-size // BLOCK):
        raise ValueError("a file has not one checksum for each block")
    return Sums(size, blocks)


def checksum(data: bytes | memoryview) -> bytes:
    """That of one block."""
    return zlib.crc32(data).to_bytes(SUM_SIZE, "big")


def zeros_sum(size: int) -> bytes:
    """The checksum of so many zeros, at most `BLOCK`."""
    return _ZEROS if size == BLOCK else checksum(bytes(size))


_ZEROS = checksum(bytes(BLOCK))
LOST = "nothing can be verified without it"
