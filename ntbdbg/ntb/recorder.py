# SPDX-License-Identifier: MIT
"""The event rings of the shared page, decoded: what each port has written down.

Every number is hostile: a ring lies in memory that the processes of all guests can write. What
does not fit is left out and counted in the port's `problems`; nothing here walks further than
the ring is long.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.ntb import page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.ntb.model import PageHeader

ENTRY_SIZE = 64
MAX_ENTRIES = 1 << 14
_ENTRY = "QQQIIIIQQQ"
_HEAD = "QQQIIQQ"
LANES = ("control", "traffic", "peers")


class Event(NamedTuple):
    """One entry of a ring.

    :param partition: whose port wrote it
    :param lane, number: which lane of its ring, and the entry's number there, from 0
    :param first_ns, last_ns: CLOCK_MONOTONIC of the host, ns; the same unless `times` > 1
    :param times: so many alike, folded into one
    :param kind: one of `ntbdbg.ntb.kinds.Kind`, or a number that is not known
    :param peer: another partition, None where it is about none in particular
    :param num, a, b: by kind
    """

    partition: int
    lane: int
    number: int
    first_ns: int
    last_ns: int
    times: int
    kind: int
    peer: int | None
    num: int
    a: int
    b: int


@dataclass(frozen=True)
class PortRecord:
    """The ring of one port.

    :ivar recording: whether its owner writes into it; with ``x-record=off`` it does not
    :ivar written: entries ever written, by lane
    :ivar overwritten: how many of them are gone, by lane
    :ivar mono_ns, real_ns: CLOCK_MONOTONIC and CLOCK_REALTIME of one moment, when the owner joined
    :ivar model: PCI device id of the port, which says what its registers are
    :ivar events: what is left, in each lane from the oldest
    :ivar problems: what is wrong with the ring, for people
    """

    partition: int
    recording: bool
    written: tuple[int, int, int] = (0, 0, 0)
    overwritten: tuple[int, int, int] = (0, 0, 0)
    mono_ns: int = 0
    real_ns: int = 0
    events: tuple[Event, ...] = ()
    problems: tuple[str, ...] = ()
    model: int = page.MODEL


def rings_end(header: PageHeader) -> int:
    """Bytes from the start of the page to the end of its last ring; 0 where there are none."""
    if not header.ring_off:
        return 0
    return header.ring_off + header.nports * header.ring_stride


def why_no_rings(header: PageHeader, size: int) -> str | None:
    """Why a page of `size` bytes has no rings that can be read, or None."""
    if not header.ring_off:
        return (
            "the page has no event rings" if header.major > 1 else "its layout has no event rings"
        )
    end = header.port_off + header.nports * header.port_stride
    least = page.RING_FIRST + header.ring_entries * ENTRY_SIZE
    corrupt = "the header is corrupt"
    if header.ring_off < end or header.ring_off % 8 or header.ring_stride % 8:
        return f"{corrupt}: ring_off {header.ring_off:#x}, ring_stride {header.ring_stride:#x}"
    if not 4 <= header.ring_entries <= MAX_ENTRIES or header.ring_entries % 4:
        return f"{corrupt}: rings of {header.ring_entries} entries"
    if header.ring_stride < least:
        return f"{corrupt}: {header.ring_entries} entries in {header.ring_stride:#x} bytes"
    if rings_end(header) > size:
        return f"the rings end at {rings_end(header):#x}, the page at {size:#x}"
    return None


def decode_rings(data: bytes, later: bytes, header: PageHeader) -> tuple[PortRecord, ...]:
    """The rings of all ports.

    :param data: the page from its start to `rings_end`
    :param later: the same, read after it: what is not alike in both was being written
    """
    return tuple(
        _Ring(data, later, header, partition).record() for partition in range(header.nports)
    )


def unsettled(data: bytes, later: bytes, header: PageHeader) -> bool:
    """Whether an entry that neither copy shows as overwritten was being written."""
    rings = (_Ring(data, later, header, partition) for partition in range(header.nports))
    return any(ring.torn() for ring in rings)


def _same_story(now: tuple[int, ...], then: tuple[int, ...]) -> bool:
    """Whether an entry has only been folded into between the two copies."""
    return bool(now[0]) and now[:2] == then[:2] and now[4:7] == then[4:7]


class _Ring:
    """One ring in two copies."""

    def __init__(self, data: bytes, later: bytes, header: PageHeader, partition: int) -> None:
        self.partition, self.model = partition, header.model
        self.order = "<" if header.endian == "little" else ">"
        start = header.ring_off + partition * header.ring_stride
        first = start + page.RING_FIRST
        end = first + header.ring_entries * ENTRY_SIZE
        head = struct.unpack_from(self.order + _HEAD, data, start)
        self.written, self.recording, self.clocks = head[:3], head[3], head[5:]
        self.data, self.later = data[first:end], later[first:end]
        quarter = header.ring_entries // 4
        self.places = ((0, quarter), (quarter, 2 * quarter), (3 * quarter, quarter))
        self.problems: list[str] = []

    def record(self) -> PortRecord:
        events = tuple(event for lane in range(page.LANES) for event in self._lane(lane))
        gone = (max(0, self.written[lane] - self.places[lane][1]) for lane in range(page.LANES))
        mono_ns, real_ns = self.clocks
        return PortRecord(
            self.partition,
            self.recording == 1,
            self.written,
            tuple(gone),
            mono_ns,
            real_ns,
            events,
            tuple(self.problems),
            self.model,
        )

    def torn(self) -> bool:
        return any(not raw[0] for lane in range(page.LANES) for _, raw in self._entries(lane))

    def _entries(self, lane: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each number that the lane should hold, with its words; (0, …) where they moved."""
        first, size = self.places[lane]
        unpack = struct.Struct(self.order + _ENTRY).unpack_from
        written = self.written[lane]
        for number in range(max(0, written - size), written):
            at = (first + number % size) * ENTRY_SIZE
            now, then = self.data[at : at + ENTRY_SIZE], self.later[at : at + ENTRY_SIZE]
            words = unpack(then)
            if now != then and words[0] <= number + 1 and not _same_story(unpack(now), words):
                words = (0, *words[1:])
            yield number, words

    def _lane(self, lane: int) -> Iterator[Event]:
        moved = lies = backwards = before = 0
        for number, words in self._entries(lane):
            seq, first_ns, last_ns, count, kind, peer, num, a, b, _ = words
            if seq != number + 1:
                moved += not seq or seq > number
                lies += 0 < seq <= number
                continue
            backwards += not before <= first_ns <= last_ns or not count
            before = max(before, first_ns)
            yield Event(
                self.partition, lane, number, first_ns, last_ns, count, kind,
                None if peer == page.NOBODY else peer, num, a, b,
            )  # fmt: skip
        self._complain(lane, moved, "were being written")
        self._complain(lane, lies, "have another's number: the ring lies")
        self._complain(lane, backwards, "have times that run backwards: the ring lies")

    def _complain(self, lane: int, count: int, what: str) -> None:
        if count:
            self.problems.append(f"{LANES[lane]} lane: {count} entries {what}")
