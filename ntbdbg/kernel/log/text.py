# SPDX-License-Identifier: MIT
"""The text of printk's records: blocks in a ring of bytes, each after the id of its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

WORD = (1 << 64) - 1
ID_MASK = (1 << 62) - 1
ID_SIZE = 8
AHEAD = 1 << 16
"""Bytes that are read at once: neighbouring records lie side by side."""


class NonsenseError(Exception):
    """A record says something of its text that cannot be."""


class TextReader:
    """Reads blocks once, one after the other; not to be kept, as guest bytes are not.

    :param address: VA of the ring
    :param size: bytes in it
    """

    def __init__(self, memory: PhysicalMemory, address: int, size: int) -> None:
        self._memory, self._address, self._size = memory, address, size
        self._start, self._ahead = 0, b""

    def block(self, number: int, begin: int, after: int, length: int) -> bytes | None:
        """Text of record `number`, or None if it was lost for want of room.

        :param begin: logical position of its block; the ring holds it at its remainder
        :param after: where the next one begins
        :param length: bytes of text; a block may hold fewer
        :raises NonsenseError: there is no such block
        :raises FaultError: the ring is not mapped there
        """
        if begin & 1 and after & 1:  # LPOS_DATALESS: an empty line (3), or a failure (1)
            return b"" if length == 0 and begin != 1 else None
        start, room = self._place(begin, after)
        if room < ID_SIZE:
            raise NonsenseError
        raw = self._read(start, min(ID_SIZE + length, room))
        if int.from_bytes(raw[:ID_SIZE], "little") & ID_MASK != number:
            raise NonsenseError
        return raw[ID_SIZE:]

    def _place(self, begin: int, after: int) -> tuple[int, int]:
        """(offset in the ring, bytes); what does not fit before its end is at its start.

        A block that ends just where the ring does counts as fitting since Linux 6.19; before,
        none ever did.
        """
        last = after - 1 & WORD  # positions overflow once, one round after boot
        if begin // self._size == last // self._size and begin <= last:
            return begin % self._size, last - begin + 1
        if (begin // self._size + 1) * self._size & WORD == after & -self._size & WORD:
            return 0, after % self._size
        raise NonsenseError

    def _read(self, start: int, size: int) -> bytes:
        inside = start - self._start
        if not 0 <= inside <= len(self._ahead) - size:
            try:
                length = min(max(size, AHEAD), self._size - start)
                self._ahead = self._memory.read(self._address + start, length)
            except FaultError:
                return self._memory.read(self._address + start, size)
            self._start, inside = start, 0
        return self._ahead[inside : inside + size]
