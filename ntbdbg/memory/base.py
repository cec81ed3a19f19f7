# SPDX-License-Identifier: MIT
"""The one contract for guest-physical bytes, whatever they lie in.

Everything above this room reads memory through `PhysicalMemory`; a live RAM file, a plain
buffer, a capture or a core file are implementations of it. Guest bytes are never cached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from ntbdbg.errors import FaultError, UsageError
from ntbdbg.memory.segments import VGA_HOLE, AddressRange, Segment, SegmentMap, overlaps
from ntbdbg.units import ADDRESS_LIMIT

__all__ = [
    "ADDRESS_LIMIT",
    "VGA_HOLE",
    "AddressRange",
    "PhysicalMemory",
    "Segment",
    "SegmentMap",
]


Losses = dict[int, int]
"""Pages as bits: of block number → a bit for each page of it. Fit for `marshal`."""


class PhysicalMemory(ABC):
    """Guest-physical memory of one guest.

    :ivar name: what messages call it, e.g. ``qemu1``
    :ivar is_live: whether a running guest may change it between two reads
    :ivar segments: where there is RAM, sorted and disjoint
    :ivar knows_holes: whether `extents` tells holes from data, so that a view of one costs nothing
    """

    name: str
    is_live: bool
    knows_holes: bool = True
    segments: SegmentMap

    @abstractmethod
    def read(self, address: int, size: int) -> bytes:
        """Copy of `[address, address + size)`, never short.

        :raises FaultError: a byte of it is not RAM; the error names the first one
        :raises TargetError: the backing vanished, shrank or was replaced
        """

    @abstractmethod
    def view(self, address: int, size: int) -> memoryview:
        """Zero-copy, read-only look at a range inside one segment; same errors as `read`.

        What it shows follows the guest. Looking at it allocates holes (see `extents`), and
        ends the process by SIGBUS where the backing was truncated meanwhile: long work uses
        `read`, or looks at extents only, in a process of its own.
        """

    @abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Store `data`; all of it or none. Errors as `read`; UsageError where read-only."""

    def readinto(self, address: int, buffer: memoryview) -> None:
        """As `read`, into `buffer`, which is filled to its end."""
        buffer[:] = self.read(address, len(buffer))

    def word(self, address: int, size: int = 8, *, signed: bool = False) -> int:
        """A little-endian number of `size` bytes; errors as `read`."""
        return int.from_bytes(self.read(address, size), "little", signed=signed)

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Ranges that may hold something other than zeros (all RAM, unless known better)."""
        if within is None:
            yield from (segment.range for segment in self.segments)
        else:
            yield from self.segments.within(within)

    def readable(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """RAM without what is known to be unreadable: left out of a dump, cut off, damaged.

        What is damaged may show only when it is read; from then on it is known.
        """
        runs = self.segments.runs()
        yield from runs if within is None else overlaps(runs, iter([within]))

    def sound(self, within: AddressRange) -> Iterator[AddressRange]:
        """As `readable`, but what may be damaged is looked at: for where `read` failed."""
        yield from self.readable(within)

    def read_sound(self, within: AddressRange) -> Iterator[tuple[int, bytes]]:
        """Address and bytes of all that can be read of a range: what a scan shall look at.

        :raises FaultError: it has what is not RAM at all, or is gone by now
        """
        try:
            yield within.start, self.read(within.start, within.size)
        except FaultError:
            parts = list(self.sound(within))
            if parts == [within]:
                raise
            yield from ((part.start, self.read(part.start, part.size)) for part in parts)

    def left_out(self, within: AddressRange | None = None) -> int:
        """Bytes of RAM that cannot be read, as far as is known by now."""
        ram = self.segments if within is None else self.segments.within(within)
        return sum(run.size for run in ram) - sum(run.size for run in self.readable(within))

    def take_losses(self) -> Losses:
        """What was found to be unreadable since the last call, for `learn_losses`."""
        return {}

    def learn_losses(self, losses: Losses) -> None:
        """What another process found to be unreadable in the same memory."""
        return

    def file_offset(self, address: int) -> int | None:
        """Where the byte at `address` lies in the backing; None if nowhere as it is."""
        segment = self.segments.find(address)
        return None if segment is None else address - segment.start + segment.offset

    def close(self) -> None:
        """Give back what it holds open; every later use may fail."""
        return

    @abstractmethod
    def check_backing(self) -> None:
        """Raise TargetError if what the bytes lie in vanished, shrank or was replaced."""

    def check(self, address: int, size: int) -> None:
        """Raise FaultError or UsageError unless all of `[address, address + size)` is RAM."""
        if size < 0:
            raise UsageError(f"{self.name}: negative length {size}")
        if address < 0 or address + size > ADDRESS_LIMIT:
            raise UsageError(
                f"{self.name}: {address:#x} + {size:#x} is outside the 64-bit address space"
            )
        covered = sum(length for _, _, length in self.segments.pieces(address, size))
        if covered < size or (size == 0 and self.segments.find(address) is None):
            fault = address + covered
            raise FaultError(
                self.name,
                fault,
                size - covered,
                self.segments.explain(fault),
                hint=self._fault_hint(address, covered),
            )

    def check_view(self, address: int, size: int) -> Segment:
        """As `check`; gives the one segment that holds all of it, else raises UsageError."""
        self.check(address, size)
        segment = self.segments.find(address)
        assert segment is not None
        if address + size > segment.end:
            raise UsageError(
                f"{self.name}: {size:#x} bytes at {address:#x} cross the segment border at "
                f"{segment.end:#x}, so there is no single view of them",
                hint="read() joins the pieces",
            )
        return segment

    def _fault_hint(self, address: int, covered: int) -> str:
        if covered:
            return f"the {covered:#x} bytes from {address:#x} on are RAM"
        runs = [str(run) for run in self.segments.runs()]
        shown = ", ".join(runs[:4]) + (", …" if len(runs) > 4 else "")
        return f"RAM is at {shown}" if runs else "give a file that holds RAM"
