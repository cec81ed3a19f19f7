# SPDX-License-Identifier: MIT
"""x86-64 page tables, as the processor walks them.

Intel SDM volume 3A, section 5.5 "4-level paging and 5-level paging". Nothing is cached: each
translation reads the tables anew, and each read of a table is checked.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, UsageError

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

PAGE = 4096
LEVEL_NAMES = ("pte", "pmd", "pud", "p4d", "pgd")
"""Linux' names of the levels, lowest first; with 4 levels the p4d is folded away."""

PRESENT, WRITABLE, USER, LARGE, NO_EXECUTE = 1 << 0, 1 << 1, 1 << 2, 1 << 7, 1 << 63
MOST_PHYSICAL = 1 << 52
"""The architecture's limit of physical addresses; what VMCOREINFO tells may be beyond."""

ADDRESS_BITS = (MOST_PHYSICAL - 1) & ~(PAGE - 1)

_FLAGS = (
    (PRESENT, "P"),
    (WRITABLE, "RW"),
    (USER, "US"),
    (1 << 3, "PWT"),
    (1 << 4, "PCD"),
    (1 << 5, "A"),
    (1 << 6, "D"),
    (1 << 8, "G"),
    (NO_EXECUTE, "NX"),
)


class Step(NamedTuple):
    """One level of a walk.

    :ivar level: ``pgd``, ``p4d``, ``pud``, ``pmd`` or ``pte``
    :ivar table: GPA of the table
    :ivar index: of the entry in it
    :ivar entry: the 64-bit entry, None if the table is not in RAM
    :ivar flags: names of the bits that are set: ``("P", "RW", "A", "D", "PS", "G", "NX")``
    """

    level: str
    table: int
    index: int  # type: ignore[assignment]
    entry: int | None
    flags: tuple[str, ...]


class Walk(NamedTuple):
    """How a virtual address was translated, or why not.

    :ivar address: GPA, None if there is none
    :ivar page_size: bytes of the page that holds it: 4 KiB, 2 MiB or 1 GiB; 0 if there is none
    :ivar reason: why there is none, as the clause a FaultError wants; else None
    """

    virtual: int
    steps: tuple[Step, ...]
    address: int | None
    page_size: int
    reason: str | None

    @property
    def writable(self) -> bool:
        """Whether the kernel may write there: every level allows it."""
        return self._all("RW")

    @property
    def user(self) -> bool:
        """Whether user mode may go there: every level allows it."""
        return self._all("US")

    @property
    def executable(self) -> bool:
        """Whether code there may run: no level forbids it."""
        return self.address is not None and not any("NX" in step.flags for step in self.steps)

    def _all(self, flag: str) -> bool:
        return self.address is not None and all(flag in step.flags for step in self.steps)


class Run(NamedTuple):
    """`size` bytes from `virtual` on are physically contiguous from `address` on."""

    virtual: int
    address: int
    size: int


class _Fault(Exception):
    """No translation of `virtual`: `reason`, a clause."""

    def __init__(self, virtual: int, reason: str) -> None:
        super().__init__(reason)
        self.virtual = virtual
        self.reason = reason


class PageTables:
    """The tables whose top one is at GPA `root`.

    :param levels: 4 or 5
    :param ignore: bits of entries that are no part of an address: AMD's "encrypted" bit
    """

    def __init__(
        self, memory: PhysicalMemory, root: int, levels: int = 4, *, ignore: int = 0
    ) -> None:
        if levels not in (4, 5):
            raise ValueError(f"{levels} levels")
        self.memory = memory
        self.root = root
        self.levels = levels
        self._mask = ~ignore

    def walk(self, virtual: int) -> Walk:
        """Every step of the translation of a VA; never raises for what the guest holds."""
        steps: list[Step] = []
        try:
            self._check_canonical(virtual)
            table = self.root
            for level in reversed(range(self.levels)):
                index = virtual >> _shift(level) & 511
                steps.append(Step(self._name(level), table, index, None, ()))
                entry = self._entries(virtual, table, level, index, 1)[0]
                steps[-1] = steps[-1]._replace(entry=entry, flags=_flags(entry, level))
                table = self._target(virtual, level, entry)
                if level == 0 or entry & LARGE:
                    size = 1 << _shift(level)
                    return Walk(virtual, tuple(steps), table | virtual & size - 1, size, None)
        except _Fault as fault:
            return Walk(virtual, tuple(steps), None, 0, fault.reason)
        raise AssertionError("the lowest level ends the loop")

    def translate(self, virtual: int) -> tuple[int, int]:
        """GPA of a VA, and the bytes from it to the end of its page.

        :raises FaultError: it is not mapped
        """
        try:
            self._check_canonical(virtual)
            table = self.root
            for level in range(self.levels - 1, -1, -1):
                shift = 12 + 9 * level
                entry = self._entries(virtual, table, level, virtual >> shift & 511, 1)[0]
                table = self._target(virtual, level, entry)
                if level == 0 or entry & LARGE:
                    inside = virtual & (1 << shift) - 1
                    return table | inside, (1 << shift) - inside
        except _Fault as fault:
            raise self._error(virtual, 1, fault.reason) from None
        raise AssertionError("the lowest level ends the loop")

    def runs(self, virtual: int, size: int) -> Iterator[Run]:
        """Physically contiguous runs of `[virtual, virtual + size)` in order, merged.

        :raises FaultError: when it comes to a page that is not mapped
        """
        try:
            self._check_canonical(virtual)
            self._check_canonical(max(virtual, virtual + size - 1))
            yield from _merge(self._descend(self.root, self.levels - 1, virtual, virtual + size))
        except _Fault as fault:
            raise self._error(fault.virtual, virtual + size - fault.virtual, fault.reason) from None

    def mapped(self, virtual: int, size: int, *, most_tables: int) -> Iterator[Run]:
        """What of `[virtual, virtual + size)` is mapped, page by page, in order; holes are skipped.

        :param most_tables: tables looked at before it ends; hostile ones lead to themselves
        :raises FaultError: an end of the range is not canonical
        :raises UsageError: there are more tables
        """
        try:
            self._check_canonical(virtual)
            self._check_canonical(max(virtual, virtual + size - 1))
        except _Fault as fault:
            raise self._error(fault.virtual, size, fault.reason) from None
        left = iter(range(most_tables))
        yield from self._mapped(self.root, self.levels - 1, virtual, virtual + size, left)

    def _mapped(
        self, table: int, level: int, start: int, end: int, left: Iterator[int]
    ) -> Iterator[Run]:
        if next(left, None) is None:
            raise UsageError(f"{self.memory.name}: too many page tables", hint="take less at once")
        shift = _shift(level)
        first, last = start >> shift, end - 1 >> shift
        with contextlib.suppress(_Fault):
            entries = self._entries(start, table, level, first & 511, last - first + 1)
            for number, entry in enumerate(entries, first):
                if not entry & PRESENT:
                    continue
                low, high = max(start, number << shift), min(end, number + 1 << shift)
                with contextlib.suppress(_Fault):
                    target = self._target(low, level, entry)
                    if level == 0 or entry & LARGE:
                        yield Run(low, target | low & (1 << shift) - 1, high - low)
                    else:
                        yield from self._mapped(target, level - 1, low, high, left)

    def _descend(self, table: int, level: int, start: int, end: int) -> Iterator[Run]:
        """Runs of `[start, end)`, which lies in what `table` spans."""
        shift = _shift(level)
        first, last = start >> shift, end - 1 >> shift
        entries = self._entries(start, table, level, first & 511, last - first + 1)
        for number, entry in enumerate(entries, first):
            # The signs of a canonical address are in `start`, so `number` has them too.
            low, high = max(start, number << shift), min(end, number + 1 << shift)
            target = self._target(low, level, entry)
            if level == 0 or entry & LARGE:
                yield Run(low, target | low & (1 << shift) - 1, high - low)
            else:
                yield from self._descend(target, level - 1, low, high)

    def _entries(
        self, virtual: int, table: int, level: int, index: int, count: int
    ) -> tuple[int, ...]:
        """`count` entries of a table from `index` on."""
        if table >= MOST_PHYSICAL:
            what = f"its {self._name(level)} table at {table:#x} is beyond any physical address"
            raise _Fault(virtual, f"is not mapped: {what}")
        try:
            raw = self.memory.read(table + 8 * index, 8 * count)
        except FaultError as error:
            what = f"is not mapped: its {self._name(level)} table at {table:#x} {error.reason}"
            raise _Fault(virtual, what) from None
        return struct.unpack(f"<{count}Q", raw)

    def _target(self, virtual: int, level: int, entry: int) -> int:
        """GPA of the table or page that an entry points to."""
        entry &= self._mask
        if not entry & PRESENT:
            raise self._refused(virtual, level, entry, "is not present")
        if level == 0 or not entry & LARGE:
            return entry & ADDRESS_BITS
        if level > 2:
            raise self._refused(virtual, level, entry, "has reserved bit 7 set")
        # Bit 12 of a large page is PAT; those between it and the address are reserved.
        reserved = entry & ADDRESS_BITS & (1 << _shift(level)) - 1 & ~(1 << 12)
        if reserved:
            raise self._refused(virtual, level, entry, f"has reserved bits {reserved:#x} set")
        return entry & ADDRESS_BITS & -(1 << _shift(level))

    def _refused(self, virtual: int, level: int, entry: int, why: str) -> _Fault:
        return _Fault(virtual, f"is not mapped: its {self._name(level)} entry {entry:#x} {why}")

    def _check_canonical(self, virtual: int) -> None:
        bits = _shift(self.levels)
        if not 0 <= virtual < 1 << 64 or virtual >> bits - 1 not in (0, (1 << 65 - bits) - 1):
            raise _Fault(virtual, f"is not canonical: more than {bits} bits of it count")

    def _name(self, level: int) -> str:
        return LEVEL_NAMES[4 if level == self.levels - 1 else level]

    def _error(self, virtual: int, size: int, reason: str) -> FaultError:
        hint = "'ntbdbg translate' shows each step of the walk"
        return FaultError(self.memory.name, virtual, size, reason, hint=hint)


def _shift(level: int) -> int:
    """Bits of an address below those that index a table of `level`, 0 the lowest."""
    return 12 + 9 * level


def _flags(entry: int, level: int) -> tuple[str, ...]:
    names = [name for bit, name in _FLAGS if entry & bit]
    if entry & LARGE:
        names.append("PAT" if level == 0 else "PS")
    return tuple(names)


def _merge(runs: Iterator[Run]) -> Iterator[Run]:
    """Runs that go on where the one before ended, as one."""
    last: Run | None = None
    for run in runs:
        if last is not None and last.address + last.size == run.address:
            last = last._replace(size=last.size + run.size)
        else:
            if last is not None:
                yield last
            last = run
    if last is not None:
        yield last
