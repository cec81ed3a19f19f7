# SPDX-License-Identifier: MIT
"""Where an export goes: a file that appears whole or not at all, or a pipe."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from types import TracebackType
from typing import BinaryIO, Protocol

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.memory.file import replaceable, sync
from ntbdbg.memory.formats import flattened
from ntbdbg.memory.number import format_size

_ZEROS = bytes(1 << 16)


class Sink(Protocol):
    """Takes the pieces of a file; what no piece covers is zero."""

    def write(self, offset: int, data: bytes | bytearray) -> None: ...

    def finish(self, size: int) -> None:
        """The file is whole, and has `size` bytes."""


class FileSink:
    """A new file at `path`: holes stay holes, and it appears under its name by `finish`.

    :param expected: bytes that will be written at least; less free space is an error at once
    :param replace: whether a file that is there may be replaced
    :raises TargetError: no room, no such folder, no permission
    """

    def __init__(self, path: str, expected: int, *, replace: bool = False) -> None:
        self._path = replaceable(path)
        self._folder = os.path.dirname(self._path)
        if not replace and os.path.lexists(self._path):
            raise UsageError(f"{path} exists", hint="give another name, or --force to replace it")
        self._check_room(expected)
        self._part = f"{self._path}.{secrets.token_hex(4)}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with self._explained():
            self._fd = os.open(self._part, flags, 0o600)

    def __enter__(self) -> FileSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take away what is not finished."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part)

    def write(self, offset: int, data: bytes | bytearray) -> None:
        view = memoryview(data)
        with self._explained():
            while view:
                done = os.pwrite(self._fd, view, offset)
                view, offset = view[done:], offset + done

    def finish(self, size: int) -> None:
        with self._explained():
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
            os.replace(self._part, self._path)
            os.close(self._fd)
            self._fd = -1
            sync(self._folder)

    def _check_room(self, expected: int) -> None:
        with self._explained():
            disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free < expected:
            needed, there = _rounded(expected), _rounded(free)
            raise TargetError(
                f"{self._path} needs {needed}, {self._folder} has {there} free",
                hint="make room, or write it elsewhere; --format kdump takes the least",
            )

    @contextlib.contextmanager
    def _explained(self):  # type: ignore[no-untyped-def]
        """Turn what the system says into an error that says who and what next."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "make room" if full else "is the folder there, and yours to write to?"
            raise TargetError(f"cannot write {self._path}: {error.strerror}", hint=hint) from error


class StreamSink:
    """A pipe: pieces must come in order, and gaps are written as zeros."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0

    def write(self, offset: int, data: bytes | bytearray) -> None:
        self._pad(offset)
        self._stream.write(data)
        self._at += len(data)

    def finish(self, size: int) -> None:
        self._pad(size)
        self._stream.flush()

    def _pad(self, offset: int) -> None:
        assert offset >= self._at, "a pipe cannot go back"
        while self._at < offset:
            part = _ZEROS[: offset - self._at]
            self._stream.write(part)
            self._at += len(part)


class FlattenedSink:
    """A pipe for pieces in any order, in makedumpfile's flattened format."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        stream.write(flattened.build_header())

    def write(self, offset: int, data: bytes | bytearray) -> None:
        self._stream.write(flattened.build_record(offset, len(data)))
        self._stream.write(data)

    def finish(self, size: int) -> None:
        self._stream.write(flattened.END_RECORD)
        self._stream.flush()


def _rounded(size: int) -> str:
    return format_size(size if size < 1 << 20 else size >> 20 << 20)
