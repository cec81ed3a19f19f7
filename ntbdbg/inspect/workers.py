# SPDX-License-Identifier: MIT
"""Work on large memories, shared out among forked processes.

Copying a file's pages is most of the work, it is the kernel's, and Python's own threads get
into each other's way around it. Worker `k` of `n` takes chunks k, k + n, k + 2n, … and
writes what it finds to a pipe; the parent reads the pipes in turns, so order is kept and a
worker that is far ahead waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from ntbdbg.errors import NtbdbgError, TargetError

Chunk = TypeVar("Chunk")

MAX_WORKERS = 4
PIPE_SIZE = 1 << 20
"""Bytes that a worker may be ahead with; the most that Linux grants everybody."""


def usable_workers() -> int:
    """How many processes can work at the same time."""
    return min(MAX_WORKERS, len(os.sched_getaffinity(0)))


def in_workers(
    work: Callable[[Chunk], Iterable[Any]], chunks: Sequence[Chunk]
) -> Generator[Iterator[Any], None, None]:
    """What `work` finds in each chunk, in order; take them one after the other.

    :param work: runs in the workers; what it yields must be fit for `marshal`
    :raises TargetError: an NtbdbgError that `work` raised, or a worker died
    """
    workers = [_Worker(work, chunks[k :: usable_workers()]) for k in range(usable_workers())]
    try:
        for number in range(len(chunks)):
            yield workers[number % len(workers)].found()
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A forked process that works on `chunks`."""

    def __init__(self, work: Callable[[Chunk], Iterable[Any]], chunks: Sequence[Chunk]) -> None:
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._pid = os.fork()
        if self._pid == 0:
            _live(work, chunks, writing)
        os.close(writing)
        self._pipe = open(reading, "rb")  # noqa: SIM115

    def found(self) -> Iterator[Any]:
        """What it found in its next chunk."""
        while True:
            try:
                kind, *values = marshal.load(self._pipe)
            except EOFError:
                raise TargetError(
                    "a process that helped was killed", hint="run the command again"
                ) from None
            if kind == _END:
                return
            if kind == _ERROR:
                raise TargetError(values[0], hint=values[1])
            yield values[0]

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


_FOUND, _END, _ERROR = range(3)


def _live(
    work: Callable[[Chunk], Iterable[Any]], chunks: Sequence[Chunk], writing: int
) -> NoReturn:
    """The life of a worker; it must not run anything that the parent left to be run at exit."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with open(writing, "wb", buffering=1 << 16) as pipe:
            try:
                for chunk in chunks:
                    for item in work(chunk):
                        marshal.dump((_FOUND, item), pipe)
                    marshal.dump((_END,), pipe)
                    pipe.flush()
            except NtbdbgError as error:
                marshal.dump((_ERROR, error.message, error.hint), pipe)
    finally:
        os._exit(0)
