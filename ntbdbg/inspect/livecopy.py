# SPDX-License-Identifier: MIT
"""Copies of files that somebody goes on writing to, brought up to date pass by pass.

The first pass copies, each later one looks for pages that differ from the copy and copies those
alone. The work is shared out among forked processes that live from the first pass to the last,
so that the last one, for which guests stand still, finds all mappings made and warm.

Sources are looked at where they lie, as far as they have pages (holes are neither looked at nor
allocated; where nobody knows holes, sources are read); copies are read by pread, which does not
allocate their holes either.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ntbdbg.errors import TargetError
from ntbdbg.inspect.diff import BLOCK, unequal_pages
from ntbdbg.inspect.rawbytes import Pinned, memcmp
from ntbdbg.inspect.workers import in_workers, other_threads, usable_workers
from ntbdbg.memory.newfile import unwritten

if TYPE_CHECKING:
    from ntbdbg.memory.ramfile import RamFile

SHARE = 4 << 20
"""Bytes that a worker takes on at a time."""

_ZEROS = bytes(BLOCK)
_ZEROS_AT = Pinned(_ZEROS).__enter__()

Range = tuple[int, int]
Progress = Callable[[int, int], None]


class Pair(NamedTuple):
    """A RAM file and what is to become its copy.

    :ivar copy: descriptor of an empty file, open for reading and writing
    """

    source: RamFile
    copy: int


class Piece(NamedTuple):
    """`[start, end)` of the files of pair `pair`."""

    pair: int
    start: int
    end: int


class LiveCopy:
    """The copies of `pairs`, made by `passes` calls of `update`.

    :raises TargetError: a source is not what it was, a copy cannot be written
    """

    def __init__(self, pairs: Sequence[Pair], passes: int) -> None:
        self.pairs = pairs
        self.total = sum(pair.source.file.identity.size for pair in pairs)
        self._pieces = [piece for k, pair in enumerate(pairs) for piece in _pieces(k, pair)]
        self._alone = other_threads()
        self._count = 1 if self._alone else usable_workers()
        self._gates = [os.pipe() for _ in range(passes)]
        self._next = 0
        self._first: Iterator[Any] = iter(())
        self._sources: dict[int, tuple[memoryview, int]] = {}
        self._touched: dict[Piece, list[Range]] = {}
        self._buffers: dict[str, tuple[memoryview, int]] = {}
        shares = [(number, k) for number in range(passes) for k in range(self._count)]
        memories = [pair.source for pair in pairs]
        self._results: Generator[Iterator[Any], None, None] = (
            (self._work(share) for share in shares)
            if self._alone
            else in_workers(self._work, shares, *memories)
        )
        for pair in pairs:
            os.ftruncate(pair.copy, pair.source.file.identity.size)

    def __enter__(self) -> LiveCopy:
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, whatever they are doing."""
        self._results.close()
        for pipe in self._gates[self._next :]:
            for fd in pipe:
                os.close(fd)
        self._gates = []

    def update(self, progress: Progress | None = None) -> int:
        """The next pass; gives the bytes that it copied.

        :param progress: called with bytes looked at and bytes in all
        """
        self.start()
        return self.finish(progress)

    def start(self) -> None:
        """Let the workers begin the next pass; `finish` is to follow."""
        # They are forked, with the gates, when their first result is asked for.
        self._first = next(self._results)
        os.write(self._gates[self._next][1], bytes(self._count))

    def finish(self, progress: Progress | None = None) -> int:
        """Wait for the end of the pass; see `update`."""
        done = copied = 0
        for k in range(self._count):
            for seen, taken in next(self._results) if k else self._first:
                done, copied = done + seen, copied + taken
                if progress:
                    progress(done, self.total)
        for fd in self._gates[self._next]:
            os.close(fd)
        self._next += 1
        for pair in self.pairs:
            pair.source.check_backing()  # what was truncated looks like a hole
        return copied

    # -- in the workers, or in turns where other threads forbid them --------------------

    def _work(self, share: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """One worker's part of one pass: bytes looked at and copied, piece by piece."""
        number, k = share
        if number == 0 and not self._alone:
            for _, writing in self._gates:
                os.close(writing)  # the parent's end: it tells of the parent's death
        if not os.read(self._gates[number][0], 1):
            os._exit(0)
        for piece in self._pieces[k :: self._count]:
            try:
                yield piece.end - piece.start, self._update(piece, first=number == 0)
            except OSError as error:
                raise self._failed(piece, error) from error

    def _update(self, piece: Piece, *, first: bool) -> int:
        source, copy = self.pairs[piece.pair]
        source.check_backing()
        touched = list(source.file.data_ranges(piece.start, piece.end))
        copied = 0
        for block in _blocks(touched):
            copied += self._bring(piece.pair, block, first)
        if not first and touched != self._touched[piece]:
            # What the host took back (free page reporting, a balloon) reads as zeros now.
            for start, end in _between(touched, piece):
                copied += _clear(copy, start, end)
        self._touched[piece] = touched
        return copied

    def _bring(self, pair: int, block: list[Range], first: bool) -> int:
        """Make these ranges of a copy like the source; gives the bytes written."""
        copy, start = self.pairs[pair].copy, block[0][0]
        view, mine, base = self._source(pair, start, block[-1][1])
        theirs = _ZEROS_AT if first else self._read_old(copy, start, block[-1][1])

        def equal(low: int, high: int) -> bool:
            return not memcmp(mine + low - base, theirs + low - start, high - low)

        copied = 0
        for part in block:
            for low, high in _joined(unequal_pages(equal, *part)):
                _write(copy, view[low - base : high - base], low)
                copied += high - low
        return copied

    def _read_old(self, copy: int, start: int, end: int) -> int:
        """The address of a buffer with what the copy has there so far."""
        buffer, address = self._buffer("old")
        _readinto(copy, buffer[: end - start], start)
        return address

    def _buffer(self, use: str) -> tuple[memoryview, int]:
        """`BLOCK` bytes and their address, the same at each call."""
        if use not in self._buffers:
            buffer = memoryview(mmap.mmap(-1, BLOCK))  # whole pages are copied faster
            self._buffers[use] = buffer, Pinned(buffer).__enter__()
        return self._buffers[use]

    def _source(self, pair: int, start: int, end: int) -> tuple[memoryview, int, int]:
        """Memory with these bytes of the source, its address, and what they begin at in it.

        Where they lie if this is a worker, as a truncated file would end it, and if holes are
        known, as they would be allocated; else a copy.
        """
        if not self._alone and self.pairs[pair].source.knows_holes:
            return *self._mapped(pair), 0
        view, address = self._buffer("source")
        self.pairs[pair].source.file.readinto(start, view[: end - start])
        return view, address, start

    def _mapped(self, pair: int) -> tuple[memoryview, int]:
        """The source where it lies, and its address."""
        if pair not in self._sources:
            file = self.pairs[pair].source.file
            file.check()
            try:
                mapping = mmap.mmap(file.fd, file.identity.size, prot=mmap.PROT_READ)
            except ValueError:
                raise file.shrunk() from None
            view = memoryview(mapping)
            # Nobody gives them back: they live as long as the worker.
            self._sources[pair] = view, Pinned(view).__enter__()
        return self._sources[pair]

    def _failed(self, piece: Piece, error: OSError) -> TargetError:
        source = self.pairs[piece.pair].source
        source.check_backing()  # writing from a mapping that was truncated fails as well
        return TargetError(
            f"the copy of {source.name} cannot be written: {error.strerror}",
            hint=unwritten(error),
        )


def _pieces(number: int, pair: Pair) -> Iterator[Piece]:
    size = pair.source.file.identity.size
    for start in range(0, size, SHARE):
        yield Piece(number, start, min(size, start + SHARE))


def _blocks(touched: list[Range]) -> Iterator[list[Range]]:
    """The ranges cut and grouped, so that a group lies within `BLOCK` bytes."""
    group: list[Range] = []
    for start, end in touched:
        while start < end:
            if group and start >= group[0][0] + BLOCK:
                yield group
                group = []
            limit = (group[0][0] if group else start) + BLOCK
            group.append((start, min(end, limit)))
            start = min(end, limit)
    if group:
        yield group


def _between(touched: list[Range], piece: Piece) -> Iterator[Range]:
    """The holes of a piece."""
    at = piece.start
    for start, end in touched:
        if at < start:
            yield at, start
        at = end
    if at < piece.end:
        yield at, piece.end


def _clear(copy: int, start: int, end: int) -> int:
    """Make `[start, end)` of a copy zeros; gives the bytes written."""
    written = 0
    buffer = memoryview(mmap.mmap(-1, BLOCK))
    while start < end:
        part = buffer[: min(BLOCK, end - start)]
        _readinto(copy, part, start)
        if part != _ZEROS[: len(part)]:
            _write(copy, memoryview(_ZEROS)[: len(part)], start)
            written += len(part)
        start += len(part)
    return written


def _joined(pages: Iterator[Range]) -> Iterator[Range]:
    """Pages that follow each other as one stretch."""
    low = high = -1
    for start, end in pages:
        if start != high:
            if low >= 0:
                yield low, high
            low = start
        high = end
    if low >= 0:
        yield low, high


def _readinto(fd: int, buffer: memoryview, offset: int) -> None:
    got = os.preadv(fd, [buffer], offset)
    # Nobody else knows the copy; should it be cut off all the same, the next pass mends it.
    buffer[got:] = bytes(len(buffer) - got)


def _write(fd: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
