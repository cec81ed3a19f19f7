# SPDX-License-Identifier: MIT
"""Ranges of memory, read chunk by chunk so that their size costs time but no room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

CHUNK = 1 << 20
"""Bytes read at once; a multiple of every line length that divides a power of two."""


def chunks(
    memory: PhysicalMemory, address: int, size: int, *, line: int = 16
) -> Iterator[tuple[int, bytes]]:
    """Give `(address, bytes)` over `[address, address + size)`, whole lines each but the last.

    :param line: bytes per line
    :raises FaultError: at once, if a byte of the range is not RAM
    """
    memory.check(address, size)
    return _chunks(memory, address, size, max(CHUNK // line, 1) * line)


def _chunks(
    memory: PhysicalMemory, address: int, size: int, step: int
) -> Iterator[tuple[int, bytes]]:
    end = address + size
    while address < end:
        length = min(step, end - address)
        yield address, memory.read(address, length)
        address += length
