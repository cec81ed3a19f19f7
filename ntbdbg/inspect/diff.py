# SPDX-License-Identifier: MIT
"""Two memories compared: blocks, then pages, then runs of bytes.

Worker processes compare much memory where it lies, as far as both sides are touched; the rest
is copied by pread into buffers that are used again and again. Equal blocks cost one memcmp.
Stretches that are holes of both files are skipped. Everything reported comes from copies that
were compared, so a line is true for its moment even on a running guest.

numpy is left out on purpose: its import takes as long as comparing 200 MiB.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ntbdbg.errors import FaultError
from ntbdbg.inspect.rawbytes import Pinned, memcmp
from ntbdbg.inspect.workers import Batch, Lazy, in_batches, in_workers, may_share_out
from ntbdbg.memory.base import AddressRange, PhysicalMemory
from ntbdbg.memory.segments import overlaps
from ntbdbg.units import PAGE

GROUP = 8 * PAGE
BLOCK = 128 * 1024
"""Bytes read at once: two of them stay in the processor's second-level cache."""

STRIDE = 32 * BLOCK
"""Bytes between two reports of progress, and what one worker takes at a time."""

IN_PLACE = 1 << 17
"""Bytes that both sides have touched from which comparing them where they lie is faster."""

LINE = 64
"""What is reported of a page starts and ends at multiples of so many bytes."""

PARALLEL = 32 << 20
"""Bytes from which a second process pays off."""

_PIECE = 512
_ZEROS = bytes(_PIECE)

DIFFERENT = re.compile(rb"[^\0]+")
"""Finds runs in the exclusive or of two pieces of memory."""


class Span(NamedTuple):
    """`size` bytes to compare: `[a, a + size)` of one memory, `[b, b + size)` of the other."""

    a: int
    b: int
    size: int


class Run(NamedTuple):
    """Adjoining bytes that all differ, at most up to the end of a page of `a`.

    :ivar a: address in the first memory
    :ivar b: address in the second
    :ivar old: bytes of the first
    :ivar new: bytes of the second
    """

    a: int
    b: int
    old: bytes
    new: bytes


class PageDiff:
    """A page (of the first memory's addresses) that differs, both versions of it.

    It may be short: a span may start or end inside a page, and see `trimmed`.

    :ivar a: address in the first memory
    :ivar b: address in the second
    :ivar old: bytes of the first
    :ivar new: bytes of the second
    """

    def __init__(self, a: int, b: int, old: bytes, new: bytes) -> None:
        self.a = a
        self.b = b
        self.old = old
        self.new = new

    @functools.cached_property
    def _mixed(self) -> tuple[bytes, int, int]:
        """Exclusive or, and the offsets from the first difference to past the last."""
        pieces, low, high = [], len(self.old), 0
        for at in range(0, len(self.old), _PIECE):
            old, new = self.old[at : at + _PIECE], self.new[at : at + _PIECE]
            if old == new:
                pieces.append(_ZEROS[: len(old)])
                continue
            mixed = _xor(old, new)
            pieces.append(mixed)
            low = min(low, at + len(mixed) - len(mixed.lstrip(b"\0")))
            high = at + len(mixed.rstrip(b"\0"))
        return b"".join(pieces), low, high

    @property
    def mixed(self) -> bytes:
        """Exclusive or of the two: zero where they agree."""
        return self._mixed[0]

    @property
    def extent(self) -> tuple[int, int]:
        """Offsets in the page from the first byte that differs to past the last one."""
        return self._mixed[1:]

    @property
    def count(self) -> int:
        """How many bytes differ."""
        low, high = self.extent
        # Between the outermost ones only: bytes.count takes its time over many hits.
        return high - low - self.mixed.count(0, low, high)

    def trimmed(self) -> PageDiff:
        """The same without the equal lines (of `LINE` bytes) before and after the differences."""
        low, high, step = 0, len(self.old), PAGE // 2
        if self.a % LINE or high % LINE:
            return self
        while step >= LINE:
            if self.old[low : low + step] == self.new[low : low + step]:
                low += step
            if self.old[max(high - step, 0) : high] == self.new[max(high - step, 0) : high]:
                high -= step
            step //= 2
        return PageDiff(self.a + low, self.b + low, self.old[low:high], self.new[low:high])

    def runs(self) -> Iterator[Run]:
        """The bytes that differ, in order."""
        for match in DIFFERENT.finditer(self.mixed, *self.extent):
            low, high = match.span()
            yield Run(self.a + low, self.b + low, self.old[low:high], self.new[low:high])


@dataclass
class DiffSummary:
    """What a comparison came to so far.

    :ivar compared: bytes that were compared, holes included
    :ivar unread: bytes that were to be, and that one side or the other could not give
    :ivar pages: pages with a difference
    :ivar different: bytes that differ
    :ivar first: address in the first memory of the first one, None while there is none
    :ivar last: of the last one
    """

    compared: int = 0
    unread: int = 0
    pages: int = 0
    different: int = 0
    first: int | None = None
    last: int | None = None

    @property
    def identical(self) -> bool | None:
        """None where no difference was seen and not all could be looked at."""
        if self.different:
            return False
        return None if self.unread else True

    def add(self, page: PageDiff) -> None:
        """Take `page` into account."""
        low, high = page.extent
        self.pages += 1
        self.different += page.count
        if self.first is None:
            self.first = page.a + low
        self.last = page.a + high - 1


def differing_pages(
    a: PhysicalMemory,
    b: PhysicalMemory,
    spans: Sequence[Span],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[PageDiff]:
    """Every page in which the two memories differ, span by span, in order of `a`.

    :param progress: called with bytes done and bytes in all
    :raises FaultError: part of a span is not RAM on its side
    :raises TargetError: a file vanished, shrank or was replaced meanwhile
    """
    for span in spans:
        a.check(span.a, span.size)
        b.check(span.b, span.size)
    stretches = [stretch for span in spans for stretch in _stretches_of(a, b, span)]
    total = sum(stretch.size for stretch in stretches)
    parallel = total >= PARALLEL and may_share_out()
    batches = Lazy(lambda: in_batches(_cut(stretches), STRIDE))
    found = _compare_in_workers(a, b, batches) if parallel else _compare_here(a, b, batches)
    done = 0
    with contextlib.closing(found):
        for batch, pages in zip(batches, found, strict=True):
            if progress:
                progress(done, total)
            yield from pages
            done += batch.size


def _compare_here(
    a: PhysicalMemory, b: PhysicalMemory, batches: Iterable[Batch[_Chunk]]
) -> Generator[Iterator[PageDiff], None, None]:
    buffers = bytearray(BLOCK), bytearray(BLOCK)
    for batch in batches:
        yield (page for chunk in batch.parts for page in _compare_copies(a, b, chunk, *buffers))


def _compare_in_workers(
    a: PhysicalMemory, b: PhysicalMemory, batches: Iterable[Batch[_Chunk]]
) -> Generator[Iterator[PageDiff], None, None]:
    """As `_compare_here`, by forked processes."""
    buffers = bytearray(BLOCK), bytearray(BLOCK)

    def compare(batch: Batch[_Chunk]) -> Iterator[tuple[int, int, bytes, bytes]]:
        for chunk in batch.parts:
            for page in _compare_anyhow(a, b, chunk, *buffers):
                short = page.trimmed()
                yield short.a, short.b, short.old, short.new

    with contextlib.closing(in_workers(compare, batches, a, b)) as results:
        for pages in results:
            yield (PageDiff(*page) for page in pages)


def _compare_anyhow(
    a: PhysicalMemory, b: PhysicalMemory, chunk: _Chunk, left: bytearray, right: bytearray
) -> Iterator[PageDiff]:
    """In place, if that is allowed and possible."""
    if chunk.in_place:
        try:
            yield from _compare_in_place(a, b, chunk)
            return
        except FaultError:  # before the first page: a dump turned out to be damaged
            pass
    yield from _compare_copies(a, b, chunk, left, right)


def bytes_compared(a: PhysicalMemory, b: PhysicalMemory, spans: Sequence[Span]) -> int:
    """Bytes of `spans` that both could give, once all of them were looked at."""
    return sum(part.size for span in spans for part in _both(a.readable, b.readable, span))


def common_spans(a: PhysicalMemory, b: PhysicalMemory) -> tuple[Span, ...]:
    """What both have at the same addresses, and can be read."""
    return tuple(
        Span(part.start, part.start, part.size) for part in overlaps(a.readable(), b.readable())
    )


def common_ram(a: PhysicalMemory, b: PhysicalMemory) -> int:
    """Bytes of RAM that both have at the same addresses, whether they can be read or not."""
    return sum(part.size for part in overlaps(iter(a.segments.runs()), iter(b.segments.runs())))


Parts = Callable[[AddressRange], Iterator[AddressRange]]


def _both(mine: Parts, theirs: Parts, span: Span) -> Iterator[AddressRange]:
    """The parts of a span that both sides give, by addresses of the first."""
    shift = span.b - span.a
    there = theirs(AddressRange(span.b, span.b + span.size))
    moved = (AddressRange(part.start - shift, part.end - shift) for part in there)
    return overlaps(mine(AddressRange(span.a, span.a + span.size)), moved)


class _Chunk(NamedTuple):
    """`size` bytes to compare, as in a `Span`.

    :ivar in_place: both sides are touched memory of one segment, so they can be viewed
    """

    a: int
    b: int
    size: int
    in_place: bool


def _compare_in_place(a: PhysicalMemory, b: PhysicalMemory, chunk: _Chunk) -> Iterator[PageDiff]:
    """The pages that differ, by looking where they lie; only for a worker (see there)."""
    left, right = a.view(chunk.a, chunk.size), b.view(chunk.b, chunk.size)
    with Pinned(left) as mine, Pinned(right) as theirs:

        def equal(start: int, end: int) -> bool:
            return not memcmp(mine + start, theirs + start, end - start)

        for low, high in unequal_pages(equal, 0, chunk.size, chunk.a):
            # A guest may write meanwhile: what is reported are these two copies.
            old, new = bytes(left[low:high]), bytes(right[low:high])
            if old != new:
                yield PageDiff(chunk.a + low, chunk.b + low, old, new)


def _compare_copies(
    a: PhysicalMemory, b: PhysicalMemory, chunk: _Chunk, left: bytearray, right: bytearray
) -> Iterator[PageDiff]:
    """The pages that differ, by copies of a block at a time.

    :param left: room for `BLOCK` bytes of the first memory
    :param right: the same for the second
    """
    mine, theirs = memoryview(left), memoryview(right)

    def equal(start: int, end: int) -> bool:
        # A memcmp that copies nothing; comparing views would go byte by byte.
        return left.startswith(theirs[start:end], start)

    start = 0
    while start < chunk.size:
        size = min(BLOCK - (chunk.a + start) % PAGE, chunk.size - start)
        try:
            a.readinto(chunk.a + start, mine[:size])
            b.readinto(chunk.b + start, theirs[:size])
        except FaultError:
            for part in _around_damage(a, b, Span(chunk.a + start, chunk.b + start, size)):
                yield from _compare_copies(a, b, part, left, right)
            start += size
            continue
        for low, high in unequal_pages(equal, 0, size, chunk.a + start):
            where = start + low
            old, new = bytes(mine[low:high]), bytes(theirs[low:high])
            yield PageDiff(chunk.a + where, chunk.b + where, old, new)
        start += size


def _around_damage(a: PhysicalMemory, b: PhysicalMemory, span: Span) -> Iterator[_Chunk]:
    """What of a span can be read on both sides; raises FaultError if that should be all of it."""
    for part in _both(a.sound, b.sound, span):
        if part.size == span.size:
            a.read(span.a, span.size)
            b.read(span.b, span.size)
        yield _Chunk(part.start, part.start - span.a + span.b, part.size, False)


def unequal_pages(
    equal: Callable[[int, int], bool], start: int, end: int, address: int = 0, step: int = GROUP
) -> Iterator[tuple[int, int]]:
    """Pages of `[start, end)` that differ: groups of pages first, then page by page.

    :param equal: compares both sides between two offsets
    :param address: what offset 0 stands for, which decides where pages end
    """
    while start < end:
        until = min(end, start + step - (address + start) % step)
        if not equal(start, until):
            if step == PAGE:
                yield start, until
            else:
                yield from unequal_pages(equal, start, until, address, PAGE)
        start = until


def _cut(stretches: list[_Chunk]) -> Iterator[_Chunk]:
    """The same in parts of `STRIDE` bytes at most."""
    for a, b, size, in_place in stretches:
        for at in range(0, size, STRIDE):
            yield _Chunk(a + at, b + at, min(STRIDE, size - at), in_place)


def _stretches_of(a: PhysicalMemory, b: PhysicalMemory, span: Span) -> Iterator[_Chunk]:
    """The parts of a span where at least one side is not a hole."""
    mine, theirs = _offsets(a, span.a, span.size), _offsets(b, span.b, span.size)
    viewable = a.knows_holes and b.knows_holes
    for start, end, in_place in _stretches(mine, theirs, viewable):
        yield _Chunk(span.a + start, span.b + start, end - start, in_place)


Extent = tuple[int, int]


def _offsets(memory: PhysicalMemory, address: int, size: int) -> list[Extent]:
    within = AddressRange(address, address + size)
    return [(e.start - address, e.end - address) for e in memory.extents(within)]


def _stretches(
    mine: list[Extent], theirs: list[Extent], viewable: bool
) -> list[tuple[int, int, bool]]:
    """What the extents of either side cover, and whether it is worth a look in place."""
    edges = [
        (at, step) for extent in mine + theirs for at, step in zip(extent, (1, -1), strict=True)
    ]
    found: list[tuple[int, int, bool]] = []
    start = sides = 0
    for at, step in sorted(edges):
        if sides and at > start:
            in_place = viewable and sides == 2 and at - start >= IN_PLACE
            joins = found and found[-1][1:] == (start, False)
            if joins and not in_place:
                start = found.pop()[0]
            found.append((start, at, in_place))
        start, sides = at, sides + step
    return found


def _xor(a: bytes, b: bytes) -> bytes:
    mixed = int.from_bytes(a, "little") ^ int.from_bytes(b, "little")
    return mixed.to_bytes(len(a), "little")
