# SPDX-License-Identifier: MIT
"""Work on large memories, shared out among forked processes.

Copying a file's pages is most of the work, it is the kernel's, and Python's own threads get
into each other's way around it. Worker `k` of `n` takes chunks k, k + n, k + 2n, … and
writes what it finds to a pipe; the parent reads the pipes in turns, so order is kept and a
worker that is far ahead waits.

A worker may look at memory where it lies, by `PhysicalMemory.view`: should somebody truncate
the file meanwhile, the SIGBUS ends the worker only, and the parent says what happened.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import resource
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from ntbdbg import errors
from ntbdbg.errors import NtbdbgError, TargetError

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

Chunk = TypeVar("Chunk")
Item = TypeVar("Item")

MAX_WORKERS = 4
PIPE_SIZE = 1 << 20
"""Bytes that a worker may be ahead with; the most that Linux grants everybody."""


def usable_workers() -> int:
    """How many processes can work at the same time."""
    return min(MAX_WORKERS, len(os.sched_getaffinity(0)))


def other_threads() -> bool:
    """Whether other threads run in this process, Python's or those of a library.

    One of them may hold a lock that nobody would ever open in a forked child.
    """
    return threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1


def may_share_out() -> bool:
    """Whether work is done sooner by workers, and they can be forked safely."""
    return usable_workers() > 1 and not other_threads()


def in_workers(
    work: Callable[[Chunk], Iterable[Any]],
    chunks: Iterable[Chunk],
    *memories: PhysicalMemory,
) -> Generator[Iterator[Any], None, None]:
    """What `work` finds in each chunk, in order; take them one after the other.

    To be called only where there are no `other_threads`.

    :param work: runs in the workers; what it yields must be fit for `marshal`
    :param chunks: gone through here and by each worker, so it gives the same each time
    :param memories: what `work` looks at
    :raises NtbdbgError: what `work` raised of these
    :raises TargetError: a worker died
    :raises RuntimeError: anything else that `work` raised, in its own words
    """
    count = usable_workers()
    workers = [_Worker(work, islice(chunks, k, None, count), memories) for k in range(count)]
    try:
        for number, _ in enumerate(chunks):
            yield workers[number % count].found()
    finally:
        for worker in workers:
            worker.stop()


class Sized(Protocol):
    """Part of a memory."""

    @property
    def size(self) -> int:
        """Bytes."""


Part = TypeVar("Part", bound=Sized)


class Batch(Generic[Part]):
    """Parts to be worked on in one go, as asking for small ones one by one would cost much.

    :ivar size: bytes in all
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.size = sum(part.size for part in parts)


class Lazy(Iterable[Item]):
    """Goes through what `make` gives, each time anew: parts of much memory are not kept."""

    def __init__(self, make: Callable[[], Iterator[Item]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Item]:
        return self._make()


def in_batches(parts: Iterable[Part], size: int) -> Iterator[Batch[Part]]:
    """`parts` in order, grouped so that all batches but the last have at least `size` bytes."""
    batch: list[Part] = []
    room = size
    for part in parts:
        batch.append(part)
        room -= part.size
        if room <= 0:
            yield Batch(batch)
            batch, room = [], size
    if batch:
        yield Batch(batch)


class _Worker:
    """A forked process that works on `chunks`, and looks at `memories` for it."""

    def __init__(
        self,
        work: Callable[[Chunk], Iterable[Any]],
        chunks: Iterable[Chunk],
        memories: Sequence[PhysicalMemory],
    ) -> None:
        self._memories = memories
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._pid = os.fork()
        if self._pid == 0:
            _live(work, chunks, memories, writing)
        os.close(writing)
        self._pipe = open(reading, "rb")  # noqa: SIM115

    def found(self) -> Iterator[Any]:
        """What it found in its next chunk."""
        while True:
            try:
                kind, *values = marshal.load(self._pipe)
            except EOFError:
                raise self._death() from None
            if kind == _END:
                for memory, losses in zip(self._memories, values, strict=True):
                    memory.learn_losses(losses)
                return
            if kind == _ERROR:
                raise _error_of(*values)
            if kind == _BUG:
                raise _bug_of(*values)
            yield values[0]

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._pipe.close()
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._wait()

    def _death(self) -> TargetError:
        """Why it ended before its work was done."""
        status = self._wait()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT:
            raise KeyboardInterrupt  # a terminal sends Ctrl-C to all of its processes
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
            for memory in self._memories:
                memory.check_backing()
            return TargetError(
                "memory vanished while it was looked at", hint="run the command again"
            )
        return TargetError("a process that helped was killed", hint="run the command again")

    def _wait(self) -> int:
        """Its status as of waitpid; its number may be another process's from now on."""
        pid, self._pid = self._pid, 0
        try:
            return os.waitpid(pid, 0)[1]
        except ChildProcessError:
            return 0


_FOUND, _END, _ERROR, _BUG = range(4)


def _error_of(kind: str, facts: dict[str, Any]) -> NtbdbgError:
    """The error that a worker raised, made again from its kind and attributes."""
    made = getattr(errors, kind)
    error: NtbdbgError = made.__new__(made, facts["message"])
    error.__dict__.update(facts)
    return error


def _bug_of(words: str, traceback: str) -> RuntimeError:
    error = RuntimeError(f"in a process that helped: {words}")
    error.add_note(traceback)
    return error


def _live(
    work: Callable[[Chunk], Iterable[Any]],
    chunks: Iterable[Chunk],
    memories: Sequence[PhysicalMemory],
    writing: int,
) -> NoReturn:
    """The life of a worker; it must not run anything that the parent left to be run at exit."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Die of a truncated mapping without a word, and without a core file of guest memory.
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open(writing, "wb", buffering=1 << 16) as pipe:
            try:
                for chunk in chunks:
                    for item in work(chunk):
                        marshal.dump((_FOUND, item), pipe)
                    marshal.dump((_END, *(memory.take_losses() for memory in memories)), pipe)
                    pipe.flush()
            except NtbdbgError as error:
                marshal.dump((_ERROR, type(error).__name__, vars(error)), pipe)
            except Exception as error:
                from traceback import format_exception

                words = f"{type(error).__name__}: {error}"
                marshal.dump((_BUG, words, "".join(format_exception(error))), pipe)
    finally:
        os._exit(0)
