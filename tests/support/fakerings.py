# SPDX-License-Identifier: MIT
"""Writes event rings as ports do.

rings = FakeRings("little")
rings.record(0, 1_000_000, Kind.DB_SENT, num=2, a=1)
page = rings.into(switch.build())
"""

from __future__ import annotations

import struct

from ntbdbg.ntb import page
from ntbdbg.ntb.kinds import FIRST_PEERS, FIRST_TRAFFIC

ENTRY = 64
QUARTER = page.RING_ENTRIES // 4
PLACES = ((0, QUARTER), (QUARTER, 2 * QUARTER), (3 * QUARTER, QUARTER))


def lane_of(kind: int) -> int:
    """The lane that a port writes a kind into when it does so itself."""
    return 2 if kind >= FIRST_PEERS else 1 if kind >= FIRST_TRAFFIC else 0


class FakeRings:
    """The rings of six ports, empty at first; `bytes` are theirs, from `page.RING_OFF` on."""

    def __init__(self, endian: page.Endian = "little") -> None:
        self.order = "<" if endian == "little" else ">"
        self.bytes = bytearray(page.RINGS_END - page.RING_OFF)
        self.written = [[0, 0, 0] for _ in range(page.MAX_PORTS)]

    def join(self, part: int, mono_ns: int, real_ns: int) -> None:
        """The owner's head, with the clocks of one moment."""
        head = (*self.written[part], 1, 0, mono_ns, real_ns)
        struct.pack_into(self.order + "QQQIIQQ", self.bytes, part * page.RING_STRIDE, *head)

    def record(
        self,
        part: int,
        ns: int,
        kind: int,
        *,
        num: int = 0,
        a: int = 0,
        b: int = 0,
        peer: int = page.NOBODY,
        times: int = 1,
        last_ns: int | None = None,
        lane: int | None = None,
    ) -> None:
        """Append an entry."""
        lane = lane_of(kind) if lane is None else lane
        number = self.written[part][lane]
        self.written[part][lane] += 1
        words = (number + 1, ns, ns if last_ns is None else last_ns, times, kind, peer, num, a, b)
        struct.pack_into(
            self.order + "QQQIIIIQQ", self.bytes, self.place(part, lane, number), *words
        )
        struct.pack_into(
            self.order + "QQQI", self.bytes, part * page.RING_STRIDE, *self.written[part], 1
        )

    def place(self, part: int, lane: int, number: int) -> int:
        """Offset in `bytes` of an entry."""
        first, size = PLACES[lane]
        ring = part * page.RING_STRIDE + page.RING_FIRST
        return ring + (first + number % size) * ENTRY

    def into(self, data: bytes) -> bytes:
        """The page with these rings behind it, and its header saying where they are."""
        whole = bytearray(data.ljust(page.RINGS_END, b"\0"))
        whole[page.RING_OFF : page.RINGS_END] = self.bytes
        where = (page.RING_OFF, page.RING_STRIDE, page.RING_ENTRIES)
        struct.pack_into(self.order + "III", whole, 0x50, *where)
        return bytes(whole)
