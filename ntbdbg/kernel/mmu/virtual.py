# SPDX-License-Identifier: MIT
"""A guest's memory by kernel virtual address: the same bytes, found through page tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ntbdbg.budget import BYTES_OF_A_STEP
from ntbdbg.errors import FaultError, NtbdbgError, UsageError
from ntbdbg.memory.base import ADDRESS_LIMIT, Losses, PhysicalMemory
from ntbdbg.memory.segments import AddressRange, Segment, SegmentMap

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.kernel.mmu.paging import PageTables


Parts = Callable[[AddressRange], Iterator[AddressRange]]


class VirtualMemory(PhysicalMemory):
    """Memory whose addresses are VAs of `tables`; every use translates anew.

    :param budget: what each read by this kernel's own walks draws from, None for a user's reads
    :ivar segments: empty, since which pages are mapped changes from moment to moment
    """

    def __init__(self, tables: PageTables, budget: Budget | None = None) -> None:
        self.tables = tables
        self._budget = budget
        self.physical = tables.memory
        self.name = self.physical.name
        self.is_live = self.physical.is_live
        self.knows_holes = self.physical.knows_holes
        self.segments = SegmentMap([])
        self._limit = self.physical.segments.total

    def pieces(self, address: int, size: int) -> list[tuple[int, int]]:
        """`[address, address + size)` as physically contiguous ``(GPA, size)``, in order.

        :raises FaultError: a byte of it is not mapped to RAM, the error names the first one; or
            it is beyond 64 bits, or larger than all RAM of the guest
        :raises UsageError: `size` is negative
        """
        self._check_bounds(address, size)
        found = []
        done = 0
        for run in self.tables.runs(address, size) if size else ():
            try:
                self.physical.check(run.address, run.size)
            except FaultError as error:
                raise self._not_ram(error, address + done - run.address, size) from None
            found.append((run.address, run.size))
            done += run.size
        return found

    def read(self, address: int, size: int) -> bytes:
        if self._budget is not None:
            self._budget.step(1 + size // BYTES_OF_A_STEP)
        parts = []
        done = 0
        for gpa, length in self._some(address, size):
            try:
                parts.append(self.physical.read(gpa, length))
            except FaultError as error:  # a page of a dump that is damaged
                raise self._not_ram(error, address + done - gpa, size) from None
            done += length
        return b"".join(parts)

    def readinto(self, address: int, buffer: memoryview) -> None:
        done = 0
        for gpa, length in self._some(address, len(buffer)):
            self.physical.readinto(gpa, buffer[done : done + length])
            done += length

    def view(self, address: int, size: int) -> memoryview:
        self.check_view(address, size)
        return self.physical.view(self._some(address, size)[0][0], size)

    def write(self, address: int, data: bytes) -> None:
        pieces = self.pieces(address, len(data))
        old = [self.physical.read(gpa, length) for gpa, length in pieces]
        starts = itertools.accumulate((length for _, length in pieces), initial=0)
        done = 0
        try:
            for (gpa, length), start in zip(pieces, starts, strict=False):
                self.physical.write(gpa, data[start : start + length])
                done += 1
        except NtbdbgError:
            for (gpa, _), before in zip(pieces[:done], old, strict=False):
                self.physical.write(gpa, before)
            raise

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Parts of a mapped range that may hold something other than zeros.

        Each is physically contiguous. Without a range there are none, as there are no segments.

        :raises FaultError: a byte of the range is not mapped to RAM
        """
        yield from self._physically(within, self.physical.extents)

    def readable(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """What of a mapped range can be read; without a range nothing, as for `extents`."""
        yield from self._physically(within, self.physical.readable)

    def sound(self, within: AddressRange) -> Iterator[AddressRange]:
        yield from self._physically(within, self.physical.sound)

    def left_out(self, within: AddressRange | None = None) -> int:
        return 0 if within is None else within.size - sum(p.size for p in self.readable(within))

    def take_losses(self) -> Losses:
        return self.physical.take_losses()

    def learn_losses(self, losses: Losses) -> None:
        self.physical.learn_losses(losses)

    def _physically(self, within: AddressRange | None, parts: Parts) -> Iterator[AddressRange]:
        """What `parts` gives of the physical memory behind a range, by VA."""
        for virtual, gpa, size in self._placed(within):
            for low, high in parts(AddressRange(gpa, gpa + size)):
                yield AddressRange(low - gpa + virtual, high - gpa + virtual)

    def _placed(self, within: AddressRange | None) -> Iterator[tuple[int, int, int]]:
        """VA, GPA and size of each contiguous piece of a mapped range."""
        if within is None:
            return
        at = within.start
        for gpa, size in self.pieces(within.start, within.size):
            yield at, gpa, size
            at += size

    def check(self, address: int, size: int) -> None:
        self._some(address, size)

    def check_view(self, address: int, size: int) -> Segment:
        pieces = self._some(address, size)
        if len(pieces) > 1:
            end = address + pieces[0][1]
            raise UsageError(
                f"{self.name}: {size:#x} bytes at {address:#x} are not contiguous in physical "
                f"memory at {end:#x}, so there is no single view of them",
                hint="read() joins the pieces",
            )
        self.physical.check_view(*pieces[0])
        return Segment(address, pieces[0][1], pieces[0][0])

    def check_backing(self) -> None:
        self.physical.check_backing()

    def _some(self, address: int, size: int) -> list[tuple[int, int]]:
        """As `pieces`; an empty range must be mapped as well, and has a piece of size 0."""
        if size:
            return self.pieces(address, size)
        return [(gpa, 0) for gpa, _ in self.pieces(address, 1)]

    def _check_bounds(self, address: int, size: int) -> None:
        if size < 0:
            raise UsageError(f"{self.name}: negative length {size}")
        # Pointers and lengths come from the guest: what they lead to is absent, not misused.
        if not 0 <= address < ADDRESS_LIMIT:
            raise FaultError(self.name, address, size, "is outside the 64-bit address space")
        if address + size > ADDRESS_LIMIT:
            reason = f"and {size:#x} bytes from there on go beyond the 64-bit address space"
            raise FaultError(self.name, address, size, reason)
        if size > self._limit:
            reason = f"and {size:#x} bytes are more than its {self._limit:#x} bytes of RAM"
            raise FaultError(self.name, address, size, reason)

    def _not_ram(self, error: FaultError, shift: int, size: int) -> FaultError:
        virtual = error.address + shift
        reason = f"is mapped to physical {error.address:#x}, which {error.reason}"
        return FaultError(self.name, virtual, error.size, reason)


def read_some(memory: PhysicalMemory, address: int, size: int) -> bytes:
    """As `memory.read`, but what comes before the first byte that cannot be read is enough."""
    try:
        return memory.read(address, size)
    except FaultError as error:
        return memory.read(address, error.address - address) if error.address > address else b""
