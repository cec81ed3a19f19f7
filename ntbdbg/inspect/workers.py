# SPDX-License-Identifier: MIT
"""The comparison of large memories, shared out among forked processes.

Copying a file's pages is most of the work, it is the kernel's, and Python's own threads get
into each other's way around it. Worker `k` of `n` compares chunks k, k + n, k + 2n, … and
writes what differs to a pipe; the parent reads the pipes in turns, so order is kept and a
worker that is far ahead waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from ntbdbg.errors import NtbdbgError, TargetError

if TYPE_CHECKING:
    from ntbdbg.inspect.diff import PageDiff, Span
    from ntbdbg.memory.base import PhysicalMemory

MAX_WORKERS = 4
PIPE_SIZE = 1 << 20
"""Bytes that a worker may be ahead with; the most that Linux grants everybody."""


def usable_workers() -> int:
    """How many processes can compare at the same time."""
    return min(MAX_WORKERS, len(os.sched_getaffinity(0)))


def compare_by_workers(
    a: PhysicalMemory, b: PhysicalMemory, chunks: Sequence[Span]
) -> Generator[Iterator[PageDiff], None, None]:
    """The differing pages of each chunk, in order; take them one after the other.

    :raises TargetError: as `differing_pages`, or a worker died
    """
    workers = [_Worker(a, b, chunks[k :: usable_workers()]) for k in range(usable_workers())]
    try:
        for number in range(len(chunks)):
            yield workers[number % len(workers)].pages()
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A forked process that compares `chunks`."""

    def __init__(self, a: PhysicalMemory, b: PhysicalMemory, chunks: Sequence[Span]) -> None:
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._pid = os.fork()
        if self._pid == 0:
            _work(a, b, chunks, writing)
        os.close(writing)
        self._pipe = open(reading, "rb")  # noqa: SIM115

    def pages(self) -> Iterator[PageDiff]:
        """What differs in this worker's next chunk."""
        from ntbdbg.inspect.diff import PageDiff

        while True:
            try:
                message = marshal.load(self._pipe)
            except EOFError:
                raise TargetError(
                    "a process that compared was killed", hint="run the command again"
                ) from None
            if message is None:
                return
            if len(message) == 2:
                raise TargetError(message[0], hint=message[1])
            yield PageDiff(*message)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _work(a: PhysicalMemory, b: PhysicalMemory, chunks: Sequence[Span], writing: int) -> NoReturn:
    """The life of a worker; it must not run anything that the parent left to be run at exit."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with open(writing, "wb", buffering=1 << 16) as pipe:
            try:
                _compare(a, b, chunks, pipe)
            except NtbdbgError as error:
                marshal.dump((error.message, error.hint), pipe)
    finally:
        os._exit(0)


def _compare(a: PhysicalMemory, b: PhysicalMemory, chunks: Sequence[Span], pipe: BinaryIO) -> None:
    from ntbdbg.inspect import diff

    buffers = bytearray(diff.BLOCK), bytearray(diff.BLOCK)
    for chunk in chunks:
        for page in diff.compare_chunk(a, b, chunk, *buffers):
            marshal.dump((page.a, page.b, page.old, page.new), pipe)
        marshal.dump(None, pipe)
        pipe.flush()
