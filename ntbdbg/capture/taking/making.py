# SPDX-License-Identifier: MIT
"""Where a capture is made: under a temporary name beside its own, which it gets when it is whole.

The temporary folder is locked while it is in use; what a killed process left of an earlier
attempt is known by not being locked, and is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from ntbdbg.capture.reading.capture import is_capture
from ntbdbg.capture.taking.swap import swap
from ntbdbg.errors import TargetError, UsageError
from ntbdbg.lab.address import CAPTURE_SUFFIX
from ntbdbg.lab.signals import undisturbed
from ntbdbg.memory.file import sync
from ntbdbg.memory.newfile import unwritten
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from types import TracebackType

MARGIN = 16 << 20
"""Bytes of disk that a capture wants besides the RAM that is in use."""

_ENDING = ".part"


class Making:
    """A capture that is about to be at `path`; leaving the block without `finish` leaves nothing.

    :param replace: whether a capture that is there already may be replaced
    :ivar folder: for its files, until it is finished
    :raises UsageError: `path` cannot be the name of a capture, or is taken
    :raises TargetError: its folder cannot be written to
    """

    def __init__(self, path: str, *, replace: bool = False) -> None:
        self.path = os.path.normpath(path)
        self._replace = replace
        self._parent, self._name = os.path.split(os.path.abspath(self.path))
        if not self._name.endswith(CAPTURE_SUFFIX) or self._name == CAPTURE_SUFFIX:
            raise UsageError(
                f"{path} cannot be the name of a capture",
                hint=f"captures end in {CAPTURE_SUFFIX}: {path.rstrip('/')}{CAPTURE_SUFFIX}",
            )
        self._check_free()
        self.folder = os.path.join(self._parent, f".{self._name}.{os.getpid()}{_ENDING}")
        self._fd = -1

    def __enter__(self) -> Making:
        try:
            self._sweep()
            os.mkdir(self.folder, 0o700)
            self._fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with undisturbed():
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if isinstance(error, OSError):
            raise self._failed(error) from error

    def file(self, name: str) -> str:
        """The path of file `name` for now."""
        return os.path.join(self.folder, name)

    def check_room(self, size: int) -> None:
        """Raise TargetError unless `size` bytes and some more are free there."""
        status = os.statvfs(self.folder)
        free = status.f_bavail * status.f_frsize
        if free < size + MARGIN:
            raise TargetError(
                f"{self._parent} has no room for the capture: {_mib(size + MARGIN)} are needed, "
                f"{_mib(free)} are free",
                hint="make room there, or capture to another place",
            )

    def write(self, name: str, data: bytes) -> None:
        """Make file `name` with this content; pages of zeros become holes."""
        fd = self.open(name)
        try:
            os.ftruncate(fd, len(data))
            for at in range(0, len(data), PAGE):
                part = data[at : at + PAGE]
                if part.count(0) < len(part):
                    os.pwrite(fd, part, at)
        finally:
            os.close(fd)

    def open(self, name: str) -> int:
        """A new, empty file for reading and writing; the caller closes it."""
        return _private(self.file(name), os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def finish(self, source: str | None = None) -> None:
        """Give what was made its name, once all of it is on disk; a capture that has it is kept
        until then.

        :param source: the one file that is the capture, by default the folder is
        """
        made = self.folder if source is None else source
        for name in [] if source else os.listdir(made):
            sync(os.path.join(made, name))
        sync(made)
        self._check_free()
        path = os.path.join(self._parent, self._name)
        if os.path.lexists(path):
            swap(made, path)
            sync(self._parent)
            remove(made)
        else:
            os.rename(made, path)
            sync(self._parent)

    def _check_free(self) -> None:
        """Raise UsageError if something is at our place that we may not replace."""
        path = os.path.join(self._parent, self._name)
        if not os.path.lexists(path):
            return
        if not self._replace:
            raise UsageError(
                f"{self.path} exists already", hint="give another name, or --force to replace it"
            )
        if not is_capture(path):
            raise UsageError(
                f"{self.path} is no capture, so it is not replaced", hint="give another name"
            )

    def _sweep(self) -> None:
        """Remove what killed processes left of this capture."""
        for name in os.listdir(self._parent):
            if name.startswith(f".{self._name}.") and name.endswith(_ENDING):
                _remove_unlocked(os.path.join(self._parent, name))

    def _failed(self, error: OSError) -> TargetError:
        where = error.filename if isinstance(error.filename, str) else self._parent
        return TargetError(
            f"the capture {self.path} was not made: {where}: {error.strerror}",
            hint=unwritten(error),
        )


def _private(path: str, flags: int) -> int:
    """An opener of files that only their owner may read: they hold a guest's secrets."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _remove_unlocked(path: str) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(fd)


def remove(path: str) -> None:
    """Remove a folder with all in it, or a file."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


def _mib(size: int) -> str:
    return f"{-(-size >> 20)} MiB"
