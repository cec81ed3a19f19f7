# SPDX-License-Identifier: MIT
"""The files of a capture that is being made, block by block, worked on by several threads.

Reading, checksums and zstd all let other threads run, so threads are as good as processes here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from ntbdbg.capture.reading.checksums import BLOCK, Sums, checksum, zeros_sum
from ntbdbg.inspect.workers import usable_workers

AHEAD = 8
"""Blocks for each thread that may be waiting for their turn."""

T = TypeVar("T")
Progress = Callable[[int, int], None]


class Block(NamedTuple):
    """`BLOCK` bytes of a file, or what is left of it.

    :ivar fd: the open file
    :ivar hole: whether it is known to be zeros, without a look
    """

    file: str
    fd: int
    offset: int
    size: int
    hole: bool

    def read(self) -> bytes:
        """Its bytes."""
        return bytes(self.size) if self.hole else os.pread(self.fd, self.size, self.offset)


class OpenFiles:
    """Files open for reading, in this order; `paths` are name and path."""

    def __init__(self, paths: Sequence[tuple[str, str]]) -> None:
        self._fds: dict[str, int] = {}
        try:
            for name, path in paths:
                self._fds[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {name: os.fstat(fd).st_size for name, fd in self._fds.items()}

    def blocks(self, name: str) -> Iterator[Block]:
        """All of a file."""
        fd, size = self._fds[name], self.sizes[name]
        data = 0
        for offset in range(0, size, BLOCK):
            length = min(BLOCK, size - offset)
            if data < offset + length:
                data = _next_data(fd, max(offset, data), size)
            yield Block(name, fd, offset, length, data >= offset + length)
            if data < offset + length:
                data = offset + length

    def all_blocks(self) -> Iterator[Block]:
        """All of all files."""
        for name in self._fds:
            yield from self.blocks(name)


def in_threads(work: Callable[[Block], T], blocks: Iterator[Block]) -> Iterator[tuple[Block, T]]:
    """Each block and what `work` makes of it, in order."""
    threads = usable_workers()
    pending: deque[tuple[Block, Future[T]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for block in blocks:
                pending.append((block, pool.submit(work, block)))
                if len(pending) >= threads * AHEAD:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


class SumTaker:
    """Gathers checksums of blocks that come file by file."""

    def __init__(self) -> None:
        self._sums: dict[str, bytearray] = {}
        self._sizes: dict[str, int] = {}

    def add(self, block: Block, value: bytes) -> None:
        """Take the checksum of the next block of its file."""
        self._sums.setdefault(block.file, bytearray()).extend(value)
        self._sizes[block.file] = block.offset + block.size

    def sums(self) -> dict[str, Sums]:
        """By file."""
        return {name: Sums(self._sizes[name], bytes(raw)) for name, raw in self._sums.items()}


def sum_of(block: Block) -> bytes:
    """The checksum of a block."""
    return zeros_sum(block.size) if block.hole else checksum(block.read())


def sums_of(files: OpenFiles, progress: Progress | None = None) -> dict[str, Sums]:
    """Checksums of all files."""
    taker, done, total = SumTaker(), 0, sum(files.sizes.values())
    for block, value in in_threads(sum_of, files.all_blocks()):
        taker.add(block, value)
        done += block.size
        if progress:
            progress(done, total)
    return taker.sums()


def _next_data(fd: int, offset: int, size: int) -> int:
    """Where the first byte from `offset` on is that no hole holds; `size` if there is none."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError:
        return size
