# SPDX-License-Identifier: MIT
"""The kernel's log, from printk's ring buffer (Linux 5.10 and later).

Three arrays: descriptors (a record's state and where its text lies), infos (sequence number,
time, level, …) and text. VMCOREINFO tells where they are and how their structures are laid
out, so neither symbols nor types are needed; kernel ``kernel/printk/printk_ringbuffer.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.budget import Budget, SpentError
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.log.layout import RingLayout
from ntbdbg.kernel.log.text import ID_MASK, NonsenseError, TextReader

if TYPE_CHECKING:
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

MOST_RECORDS = 1 << 18
"""A log buffer of 8 MiB has that many; what is older is left out."""

MOST_TEXT = 64 << 20
"""Bytes of text in all."""

BATCH = 256
COMMITTED, FINALIZED = 1, 2
"""States of a descriptor: `enum desc_state`."""

CPU_CALLER = 1 << 31


@dataclass(frozen=True)
class LogRecord:
    """One record, which may be several lines.

    :ivar time_ns: since boot, by the kernel's local clock
    :ivar level: 0 (emergency) to 7 (debug), None where the kernel lays it out in another way
    :ivar facility: 0 for the kernel, else as for syslog(3), None as for `level`
    :ivar text: without the newline at its end; bytes that are not UTF-8 as ``\\xff``
    :ivar caller: ``T17`` for the task 17, ``C1`` for an interrupt on CPU 1
    :ivar subsystem: of the device it is about, "" if none is known
    :ivar device: ``+pci:0000:00:02.0``, "" if none is known
    :ivar is_complete: False while the kernel may still append to it (no newline came yet)
    """

    seq: int
    time_ns: int
    level: int | None
    facility: int | None
    text: str
    caller: str
    subsystem: str
    device: str
    is_complete: bool

    def lines(self) -> Iterator[tuple[str, str]]:
        """(time stamp as of dmesg(1), text) of each line, control characters and all."""
        seconds, fraction = divmod(self.time_ns, 1_000_000_000)
        stamp = f"[{seconds:5d}.{fraction // 1000:06d}] "
        for line in self.text.split("\n"):
            yield stamp, line


@dataclass(frozen=True)
class KernelLog:
    """Records by age, the oldest first.

    :ivar notes: what is missing from it and why, a clause each
    """

    records: tuple[LogRecord, ...]
    notes: tuple[str, ...] = ()


class PrintkRing:
    """The ring that `info` describes.

    :param memory: the guest's memory by VA
    :param budget: gives what the records and texts of one look draw from
    :raises KernelError: the kernel is too old, or sizes make no sense
    :raises FaultError: the ring is not mapped
    """

    def __init__(
        self, memory: PhysicalMemory, info: Vmcoreinfo, budget: Callable[[], Budget] = Budget
    ) -> None:
        self._memory = memory
        self._budget = budget
        self._layout = layout = RingLayout.of(info)
        ring = layout.ring_address(memory)
        count_bits = self._number(ring + layout.count_bits, 4)
        size_bits = self._number(ring + layout.size_bits, 4)
        if not (0 < count_bits < 32 and 3 < size_bits < 32):
            raise KernelError(
                f"{memory.name}: printk's ring claims 2^{count_bits} records and "
                f"2^{size_bits} bytes",
                hint="its memory is damaged; text of the log may still be found with `search`",
            )
        self._count, self._size = 1 << count_bits, 1 << size_bits
        self._head, self._tail = ring + layout.head_id, ring + layout.tail_id
        self._descs = self._number(ring + layout.descs)
        self._infos = self._number(ring + layout.infos)
        self._text = self._number(ring + layout.data)

    def read(self, since: int = 0) -> KernelLog:
        """All records from sequence number `since` on."""
        notes: list[str] = []
        records: list[LogRecord] = []
        left = 4 * min(MOST_TEXT, self._size)  # a byte that is no text becomes four characters
        budget = self._budget()
        try:
            for record in self._records(since, notes):
                left -= len(record.text)
                budget.take(items=1, bytes=len(record.text))
                if left < 0:
                    notes.append("records hold more text than the ring can; the rest is left out")
                    break
                records.append(record)
        except (FaultError, SpentError) as error:
            notes.append(f"the newest records are missing: {error.message}")
        records.sort(key=lambda record: record.seq)
        return KernelLog(tuple(records), tuple(notes))

    def _records(self, since: int, notes: list[str]) -> Iterator[LogRecord]:
        damaged = 0
        for first, count in self._batches(notes):
            records, nonsense = self._batch(first, count, since)
            damaged += nonsense
            yield from records
        if damaged:
            notes.append(f"{damaged} records make no sense and are left out")

    def _batches(self, notes: list[str]) -> Iterator[tuple[int, int]]:
        """(first id, count) of runs of records that lie side by side in the arrays."""
        tail, head = self._number(self._tail) & ID_MASK, self._number(self._head) & ID_MASK
        used = (head - tail & ID_MASK) + 1
        if used > self._count:
            notes.append(f"it claims {used} records where {self._count} have room")
        elif used > MOST_RECORDS:
            notes.append(f"only the newest {MOST_RECORDS} of {used} records are read")
        left = min(used, self._count, MOST_RECORDS)
        while left:
            first = head - left + 1 & ID_MASK
            count = min(BATCH, left, self._count - first % self._count)
            yield first, count
            left -= count

    def _batch(self, first: int, count: int, since: int) -> tuple[list[LogRecord], int]:
        """Records with ids from `first` on, and how many of them make no sense."""
        layout, index = self._layout, first % self._count
        place = self._descs + index * layout.desc_size
        descs = self._array(place, count, layout.desc_size)
        infos = self._array(self._infos + index * layout.info_size, count, layout.info_size)
        texts = TextReader(self._memory, self._text, self._size)
        found: dict[int, LogRecord | None] = {}
        damaged = []
        for offset, (desc, info) in enumerate(zip(descs, infos, strict=True)):
            if not self._is_there(desc, first + offset) or layout.number(info, "seq") < since:
                continue
            try:
                found[offset] = self._record(desc, info, texts)
            except NonsenseError:
                damaged.append(offset)
        # What the guest reused while it was read may be half of one record, half of another.
        again = self._array(place, count, layout.desc_size)
        kept = [n for n in (*found, *damaged) if self._is_there(again[n], first + n)]
        records = [record for n in kept if (record := found.get(n)) is not None]
        return records, sum(n in damaged for n in kept)

    def _is_there(self, desc: bytes, number: int) -> bool:
        """Whether it is that record's, and neither being written just now nor given back."""
        state = self._layout.number(desc, "state_var")
        return state & ID_MASK == number & ID_MASK and state >> 62 in (COMMITTED, FINALIZED)

    def _record(self, desc: bytes, info: bytes, texts: TextReader) -> LogRecord | None:
        """The record, or None if its text was lost; NonsenseError if it cannot be."""
        layout, number = self._layout, self._layout.number
        state, begin, after = (number(desc, name) for name in ("state_var", "begin", "next"))
        text = texts.block(state & ID_MASK, begin, after, number(info, "text_len"))
        caller = number(info, "caller_id")
        level, facility = layout.severity(info)
        return (
            None
            if text is None
            else LogRecord(
                seq=number(info, "seq"),
                time_ns=number(info, "ts_nsec"),
                level=level,
                facility=facility,
                text=_decode(text),
                caller=f"C{caller & ~CPU_CALLER}" if caller & CPU_CALLER else f"T{caller}",
                subsystem=_decode(layout.part(info, "subsystem").partition(b"\0")[0]),
                device=_decode(layout.part(info, "device").partition(b"\0")[0]),
                is_complete=state >> 62 == FINALIZED,
            )
        )

    def _array(self, address: int, count: int, size: int) -> list[bytes]:
        raw = self._memory.read(address, count * size)
        return [raw[start : start + size] for start in range(0, len(raw), size)]

    def _number(self, address: int, size: int = 8) -> int:
        return self._memory.word(address, size)


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
