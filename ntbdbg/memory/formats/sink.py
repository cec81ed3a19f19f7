# SPDX-License-Identifier: MIT
"""Where an export goes: a file that appears whole or not at all, or a pipe."""

from __future__ import annotations

import os
from typing import BinaryIO, Protocol

from ntbdbg.errors import TargetError
from ntbdbg.memory.formats import flattened
from ntbdbg.memory.newfile import NewFile
from ntbdbg.units import format_size

_ZEROS = bytes(1 << 16)


class Sink(Protocol):
    """Takes the pieces of a file; what no piece covers is zero."""

    def write(self, offset: int, data: bytes | bytearray) -> None: ...

    def finish(self, size: int) -> None:
        """The file is whole, and has `size` bytes."""


class FileSink(NewFile):
    """A new file at `path`: holes stay holes, and it appears under its name by `finish`.

    :param expected: bytes that will be written at least; less free space is an error at once
    :param replace: whether a file that is there may be replaced
    :raises UsageError, TargetError: as `NewFile`; no room
    """

    def __init__(self, path: str, expected: int, *, replace: bool = False) -> None:
        super().__init__(path, replace=replace)
        try:
            self._check_room(expected)
        except TargetError:
            self.__exit__(None, None, None)
            raise

    def _check_room(self, expected: int) -> None:
        with self.explained():
            disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if free < expected:
            needed, there = _rounded(expected), _rounded(free)
            raise TargetError(
                f"{self.path} needs {needed}, {self.folder} has {there} free",
                hint="make room, write it elsewhere, or try another --format: kdump packs pages, "
                "the others leave zeros out",
            )


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
