# SPDX-License-Identifier: MIT
"""Page tables, as the processor walks them, whatever the form that its architecture gives them.

Nothing is cached: each translation reads the tables anew, and each read of a table is checked.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.arch.base import Geometry, Refused, Rights
from ntbdbg.errors import FaultError, UsageError

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory


class Step(NamedTuple):
    """One level of a walk.

    :ivar level: ``pgd``, ``p4d``, ``pud``, ``pmd`` or ``pte``
    :ivar table: GPA of the table
    :ivar index: of the entry in it
    :ivar entry: the 64-bit entry, None if the table is not in RAM
    :ivar flags: names of the bits that are set: ``("P", "RW", "A", "D", "PS", "G", "NX")``
    :ivar rights: what it allows; nothing where there is no entry
    """

    level: str
    table: int
    index: int  # type: ignore[assignment]
    entry: int | None
    flags: tuple[str, ...]
    rights: Rights = Rights(False, False, False)


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
        return self._all(right.writable for right in self._rights)

    @property
    def user(self) -> bool:
        """Whether user mode may go there: every level allows it."""
        return self._all(right.user for right in self._rights)

    @property
    def executable(self) -> bool:
        """Whether code there may run: no level forbids it."""
        return self._all(right.executable for right in self._rights)

    @property
    def _rights(self) -> list[Rights]:
        return [step.rights for step in self.steps]

    def _all(self, allowed: Iterable[bool]) -> bool:
        return self.address is not None and all(allowed)


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

    :param geometry: their form
    """

    def __init__(self, memory: PhysicalMemory, root: int, geometry: Geometry) -> None:
        self.memory = memory
        self.root = root
        self.geometry = geometry
        # Every step of every walk needs these.
        self._levels = geometry.levels
        self._top = len(geometry.levels) - 1
        self._looked_at = ~geometry.ignored
        self._table_bits = geometry.to_table[0] & self._looked_at
        self._to_table = geometry.to_table[1]
        self._address_bits = geometry.address & self._looked_at
        self._gather = geometry.gather
        self._alike = geometry.alike
        self._signs = tuple(half >> geometry.alike for half in geometry.halves)

    def walk(self, virtual: int) -> Walk:
        """Every step of the translation of a VA; never raises for what the guest holds."""
        steps: list[Step] = []
        try:
            self._check_canonical(virtual)
            table = self.root
            for number in range(self._top, -1, -1):
                level = self._levels[number]
                index = virtual >> level.shift & (1 << level.bits) - 1
                steps.append(Step(level.name, table, index, None, ()))
                entry = self._entries(virtual, table, number, index, 1)[0]
                steps[-1] = self._step(steps[-1], entry, number)
                table, is_page = self._target(virtual, number, entry)
                if is_page:
                    size = 1 << level.shift
                    return Walk(virtual, tuple(steps), table | virtual & size - 1, size, None)
        except _Fault as fault:
            return Walk(virtual, tuple(steps), None, 0, fault.reason)
        raise AssertionError("the lowest level ends the loop")

    def translate(self, virtual: int) -> tuple[int, int]:
        """GPA of a VA, and the bytes from it to the end of its page.

        :raises FaultError: it is not mapped
        """
        gather = self._gather
        try:
            self._check_canonical(virtual)
            table = self.root
            for number in range(self._top, -1, -1):
                _, shift, bits = self._levels[number]
                index = virtual >> shift & (1 << bits) - 1
                entry = self._entries(virtual, table, number, index, 1)[0]
                # As `_target`, without the calls: each read of the kernel's memory comes by here.
                if number and entry & self._table_bits == self._to_table and gather is None:
                    table = entry & self._address_bits
                    continue
                table, is_page = self._target(virtual, number, entry)
                if is_page:
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
            yield from _merge(self._descend(self.root, self._top, virtual, virtual + size))
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
        yield from self._mapped(self.root, self._top, virtual, virtual + size, left)

    def _mapped(
        self, table: int, level: int, start: int, end: int, left: Iterator[int]
    ) -> Iterator[Run]:
        if next(left, None) is None:
            raise UsageError(f"{self.memory.name}: too many page tables", hint="take less at once")
        _, shift, bits = self._levels[level]
        first, last = start >> shift, end - 1 >> shift
        present = self.geometry.present
        with contextlib.suppress(_Fault):
            index = first & (1 << bits) - 1
            entries = self._entries(start, table, level, index, last - first + 1)
            for number, entry in enumerate(entries, first):
                if not entry & present:
                    continue
                low, high = max(start, number << shift), min(end, number + 1 << shift)
                with contextlib.suppress(_Fault):
                    target, is_page = self._target(low, level, entry)
                    if is_page:
                        yield Run(low, target | low & (1 << shift) - 1, high - low)
                    else:
                        yield from self._mapped(target, level - 1, low, high, left)

    def _descend(self, table: int, level: int, start: int, end: int) -> Iterator[Run]:
        """Runs of `[start, end)`, which lies in what `table` spans."""
        _, shift, bits = self._levels[level]
        first, last = start >> shift, end - 1 >> shift
        index = first & (1 << bits) - 1
        entries = self._entries(start, table, level, index, last - first + 1)
        for number, entry in enumerate(entries, first):
            # The signs of a canonical address are in `start`, so `number` has them too.
            low, high = max(start, number << shift), min(end, number + 1 << shift)
            target, is_page = self._target(low, level, entry)
            if is_page:
                yield Run(low, target | low & (1 << shift) - 1, high - low)
            else:
                yield from self._descend(target, level - 1, low, high)

    def _entries(
        self, virtual: int, table: int, level: int, index: int, count: int
    ) -> tuple[int, ...]:
        """`count` entries of a table from `index` on."""
        if table >= self.geometry.physical:
            what = f"its {self._name(level)} table at {table:#x} is beyond any physical address"
            raise _Fault(virtual, f"is not mapped: {what}")
        try:
            raw = self.memory.read(table + 8 * index, 8 * count)
        except FaultError as error:
            what = f"is not mapped: its {self._name(level)} table at {table:#x} {error.reason}"
            raise _Fault(virtual, what) from None
        return struct.unpack(f"<{count}Q", raw)

    def _target(self, virtual: int, level: int, entry: int) -> tuple[int, bool]:
        """GPA of the table or page that an entry points to, and whether it is a page."""
        entry &= self._looked_at
        if level and entry & self._table_bits == self._to_table:
            gather = self._gather
            return (entry & self._address_bits if gather is None else gather(entry)), False
        try:
            return self.geometry.page(virtual, entry, level), True
        except Refused as refused:
            raise self._refused(virtual, level, entry, refused.why) from None

    def _step(self, step: Step, entry: int, level: int) -> Step:
        flags, rights = self.geometry.flags(entry, level), self.geometry.rights(entry, level)
        return step._replace(entry=entry, flags=flags, rights=rights)

    def _refused(self, virtual: int, level: int, entry: int, why: str) -> _Fault:
        return _Fault(virtual, f"is not mapped: its {self._name(level)} entry {entry:#x} {why}")

    def _name(self, level: int) -> str:
        return self._levels[level].name

    def _check_canonical(self, virtual: int) -> None:
        if not 0 <= virtual < 1 << 64 or virtual >> self._alike not in self._signs:
            bits = self.geometry.significant
            raise _Fault(virtual, f"is not canonical: more than {bits} bits of it count")

    def _error(self, virtual: int, size: int, reason: str) -> FaultError:
        hint = "'ntbdbg translate' shows each step of the walk"
        return FaultError(self.memory.name, virtual, size, reason, hint=hint)


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
