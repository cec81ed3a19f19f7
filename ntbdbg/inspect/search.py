# SPDX-License-Identifier: MIT
"""Search in guest-physical memory, for bytes or a regular expression.

Memory is read in chunks that overlap, so a match may lie across chunks and across segments
whose addresses adjoin, never across a hole. Pages that were never touched are zeros; they
are skipped where a match cannot lie in them, and never allocated by reading.

Copying is half of the work. A literal search of much memory looks at it where it lies
instead: in worker processes, which a truncated file may end, and never at untouched pages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ntbdbg.errors import FaultError, UsageError
from ntbdbg.inspect.scan import FindScanner, Scanner, choose_scanner
from ntbdbg.inspect.workers import Batch, Lazy, in_batches, in_workers, may_share_out
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    import re

    from ntbdbg.inspect.value import Pattern
    from ntbdbg.memory.base import PhysicalMemory

CHUNK = 1 << 20
"""Bytes per read of a literal search."""

BATCH = 4 << 20
"""Bytes that one worker takes at a time."""

IN_PLACE = 1 << 17
"""Bytes of touched memory from which looking at it where it lies is faster than a copy."""

REGEX_CHUNK = 1 << 16
"""Bytes per read of a regex search; short, as an expression may look at all of it per match."""

PARALLEL = 64 << 20
"""Bytes from which a literal search is shared out among processes."""

SPAN = 4096
"""Longest match of a regular expression, and how far it may look around, in bytes."""

_GAP = 1 << 16
"""Untouched bytes that are rather read than skipped."""

Progress = Callable[[int, int], None]
T = TypeVar("T")


class Match(NamedTuple):
    """One occurrence.

    :ivar data: the bytes that matched, as they were when they were read
    """

    address: int
    data: bytes


def search(
    memory: PhysicalMemory,
    pattern: Pattern,
    *,
    within: AddressRange | None = None,
    align: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Match]:
    """Every occurrence of `pattern` in RAM, by address.

    Literal occurrences may overlap each other; those of a regular expression do not, and are
    at most `SPAN` bytes long.

    :param within: where to look; all RAM by default
    :param align: only addresses that are a multiple of it
    :param limit: stop after so many
    :param progress: called with bytes done and bytes in all, once a chunk
    :raises FaultError: at once, if `within` holds no RAM
    :raises UsageError: at once, for an alignment or limit that makes no sense
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} is less than 1", hint="e.g. --limit 10")
    runs = runs_to_search(memory, within, align)
    finder = _regex_matches if pattern.regex else _literal_matches
    return _limited(finder(memory, pattern, runs, align, progress or _silent), limit)


def runs_to_search(
    memory: PhysicalMemory, within: AddressRange | None, align: int
) -> list[AddressRange]:
    """The RAM that a search looks at; errors as `search`."""
    if align < 1:
        raise UsageError(f"alignment {align} is less than 1", hint="e.g. --align 8")
    runs = [part for run in memory.readable() if (part := _clip(run, within))]
    if not runs and within is not None:
        memory.read(within.start, 1)  # it knows best why not
        reason = memory.segments.explain(within.start)
        raise FaultError(
            memory.name, within.start, within.size, reason, hint="'ntbdbg map' shows where RAM is"
        )
    return runs


def parse_range(text: str) -> AddressRange:
    """``A:B`` (B excluded) or ``A+LENGTH``; raises UsageError unless it holds a byte."""
    from ntbdbg.units import ADDRESS_LIMIT, parse_number

    low, sign, high = text.partition(":")
    if not sign:
        low, sign, high = text.partition("+")
    if not sign:
        raise UsageError(f"range {text!r:.60} is not understood", hint=_RANGES)
    start, end = parse_number(low, what="range start"), parse_number(high, what="range end")
    if sign == "+":
        end += start
    if not start < end <= ADDRESS_LIMIT:
        raise UsageError(f"range {text!r:.60} is empty or beyond 64 bits", hint=_RANGES)
    return AddressRange(start, end)


_RANGES = "write START:END or START+LENGTH, e.g. 1M:2M or 0x1000+4K"


def _limited(matches: Iterator[Match], limit: int | None) -> Iterator[Match]:
    for count, match in enumerate(matches, 1):
        yield match
        if count == limit:
            return


def _clip(run: AddressRange, within: AddressRange | None) -> AddressRange | None:
    return run if within is None else run.overlap(within)


def _silent(done: int, total: int) -> None:
    pass


def _literal_matches(
    memory: PhysicalMemory,
    pattern: Pattern,
    runs: list[AddressRange],
    align: int,
    progress: Progress,
) -> Iterator[Match]:
    needle = pattern.literal
    assert needle
    reach = len(needle) - 1
    regions = _regions_of(memory, runs, needle)
    wholes = [region.whole for region in regions]
    scanner = choose_scanner(memory, needle, wholes)
    total = sum(whole.size for whole in wholes)
    parallel = total >= PARALLEL and may_share_out()
    in_place = parallel and scanner.in_place and memory.knows_holes
    batches = Lazy(lambda: in_batches(_split(regions, reach, in_place), BATCH))
    buffer = bytearray(CHUNK + reach)

    def look(chunk: _Chunk) -> Iterator[int]:
        length = min(chunk.size + reach, chunk.region.end - chunk.address)
        data: bytearray | memoryview = buffer
        if chunk.in_place:
            data = memory.view(chunk.address, length)
        else:
            memory.readinto(chunk.address, memoryview(buffer)[:length])
        for at in _aligned(scanner, data, length, chunk.address, align):
            yield chunk.address + at

    def work(batch: Batch[_Chunk]) -> Iterator[int]:
        for chunk in batch.parts:
            try:
                yield from look(chunk)
            except FaultError:  # before the first match: it is what reading may end in
                for part in _around_damage(memory, chunk, reach):
                    yield from look(part)

    results = in_workers(work, batches, memory) if parallel else (work(b) for b in batches)
    with contextlib.closing(results):
        for found in _reported(results, batches, total, progress):
            yield from (Match(address, needle) for address in found)


def _around_damage(memory: PhysicalMemory, chunk: _Chunk, reach: int) -> Iterator[_Chunk]:
    """What can be read of a chunk that cannot be read as a whole."""
    end = min(chunk.address + chunk.size + reach, chunk.region.end)
    for part in memory.sound(AddressRange(chunk.address, end)):
        for at in range(part.start, min(part.end, chunk.address + chunk.size), CHUNK):
            last = min(at + CHUNK, part.end, chunk.address + chunk.size)
            yield _Chunk(part, at, last - at)


def _aligned(
    scanner: Scanner, buffer: bytearray | memoryview, length: int, address: int, align: int
) -> Iterator[int]:
    """Offsets of matches in `buffer[:length]` whose address is a multiple of `align`."""
    if not isinstance(scanner, FindScanner) or align == 1:
        for at in scanner.scan(buffer, 0, length):
            if (address + at) % align == 0:
                yield at
        return
    assert isinstance(buffer, bytearray)
    # Jump from one aligned address to the next: whole pages of zeros match at every byte.
    start = -address % align
    while (at := buffer.find(scanner.needle, start, length)) >= 0:
        if (address + at) % align == 0:
            yield at
            at += 1
        start = at + -(address + at) % align


def _regex_matches(
    memory: PhysicalMemory,
    pattern: Pattern,
    runs: list[AddressRange],
    align: int,
    progress: Progress,
) -> Iterator[Match]:
    regex = pattern.regex
    assert regex
    everywhere = regex.search(bytes(3 * SPAN)) is not None
    regions = runs if everywhere else [part.whole for part in touched(memory, runs, SPAN)]
    free = 0  # address from which on the next match may start
    chunks = Lazy(lambda: (c for p in regions for c in _cut(p, p.start, p.end, REGEX_CHUNK)))
    total = sum(region.size for region in regions)
    for region, address, size, _ in _reported(chunks, chunks, total, progress):
        around = AddressRange(
            max(region.start, address - SPAN), min(region.end, address + size + SPAN)
        )
        for start, data in memory.read_sound(around):
            begin, end = max(address, free, start), min(address + size, start + len(data))
            for at, found in _regex_scan(regex, data, begin - start, end - start):
                free = start + at + len(found)
                if (start + at) % align == 0:
                    yield Match(start + at, found)


def _regex_scan(
    regex: re.Pattern[bytes], data: bytes, begin: int, end: int
) -> Iterator[tuple[int, bytes]]:
    """Matches that start in `[begin, end)`, cut to what matches within `SPAN` bytes."""
    while begin < end:
        match = regex.search(data, begin)
        if match is None or match.start() >= end:
            return
        at = match.start()
        if match.end() - at > SPAN:
            match = regex.match(data, at, at + SPAN)
        if match is None or match.end() == at:
            begin = at + 1
            continue
        yield at, match[0]
        begin = match.end()


def _regions_of(memory: PhysicalMemory, runs: list[AddressRange], needle: bytes) -> list[_Region]:
    """Parts of `runs` in which `needle` may be: untouched pages are zeros."""
    if any(needle):
        return touched(memory, runs, len(needle) - 1)
    return [_Region(run, []) for run in runs]


class _Region(NamedTuple):
    """Memory to be searched, and which parts of it are surely touched."""

    whole: AddressRange
    extents: list[AddressRange]


def touched(memory: PhysicalMemory, runs: list[AddressRange], reach: int) -> list[_Region]:
    """Parts of `runs` with content other than untouched zeros, and `reach` bytes around."""
    regions: list[_Region] = []
    for run in runs:
        fresh = True  # never join across a hole
        for extent in memory.extents(run):
            start = max(run.start, extent.start - reach)
            end = min(run.end, extent.end + reach)
            if not fresh and start <= regions[-1].whole.end + _GAP:
                low, extents = regions[-1].whole.start, regions[-1].extents
                extents.append(extent)
                regions[-1] = _Region(AddressRange(low, end), extents)
            else:
                regions.append(_Region(AddressRange(start, end), [extent]))
            fresh = False
    return regions


class _Chunk(NamedTuple):
    """`size` bytes at `address`, which lie in `region`: matches that start there.

    :ivar in_place: all of `region` is touched memory of one segment, so it can be viewed
    """

    region: AddressRange
    address: int
    size: int
    in_place: bool = False


def _cut(
    region: AddressRange, start: int, end: int, step: int, in_place: bool = False
) -> Iterator[_Chunk]:
    for address in range(start, end, step):
        yield _Chunk(region, address, min(step, end - address), in_place)


def _split(regions: list[_Region], reach: int, in_place: bool) -> Iterator[_Chunk]:
    """In place, if allowed, what lies in one extent with the `reach` bytes a match may go on."""
    for whole, extents in regions:
        done = whole.start
        for extent in extents if in_place else ():
            last = extent.end - reach
            if last - extent.start >= IN_PLACE:
                yield from _cut(whole, done, extent.start, CHUNK)
                yield from _cut(extent, extent.start, last, BATCH, in_place=True)
                done = last
        yield from _cut(whole, done, whole.end, CHUNK)


def _reported(
    results: Iterable[T], parts: Iterable[_Chunk | Batch[_Chunk]], total: int, progress: Progress
) -> Iterator[T]:
    """`results`, one for each part, with a call of `progress` after each."""
    done = 0
    for result, part in zip(results, parts, strict=True):
        yield result
        done += part.size
        progress(done, total)
