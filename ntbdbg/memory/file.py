# SPDX-License-Identifier: MIT
"""A file whose identity and size are checked before every use.

A guest's RAM file can vanish, shrink or be replaced by a new run at any moment. Bytes are
copied by pread, which ends in an error where a mapping would end in SIGBUS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.memory.owned import belongs

LEAST_HUGE_PAGE = 1 << 16
"""Bytes; on arm64. Those of x86-64 have 2 MiB or 1 GiB."""


class FileIdentity(NamedTuple):
    """What tells one file from another that later has the same path.

    :ivar size: bytes it must have at least
    """

    device: int
    inode: int
    size: int


class CheckedFile:
    """The regular file at `path`, open for reading.

    :param owner: who needs it, for messages: ``qemu1``
    :param what: what it is to the owner: ``RAM file``
    :param identity: the file it must be, by default whichever is there now
    :param owners: users whose it may be, where the user did not name it himself; None means all.
        Then links are not followed either
    :param links: whether to follow a link, without `owners`
    :ivar huge_page: bytes of its pages on hugetlbfs (see `hugepages`), 0 on other file systems
    :raises TargetError: no such file, not a regular file, no permission, not `identity`, or not
        of `owners`
    """

    def __init__(
        self,
        path: str,
        owner: str,
        what: str,
        identity: FileIdentity | None = None,
        *,
        owners: tuple[int, ...] | None = None,
        links: bool = True,
    ) -> None:
        self.path = os.path.abspath(path)
        self.owners = owners
        # Links in /proc/PID/fd are the kernel's own.
        self._links = self.path.startswith("/proc/") if owners is not None else links
        self._owner = owner
        self._what = what
        self.fd = self._open(os.O_RDONLY)
        status = os.fstat(self.fd)
        actual = FileIdentity(status.st_dev, status.st_ino, status.st_size)
        self.identity = actual if identity is None else identity
        self.huge_page = _huge_page(self.fd)
        try:
            self.check()
        except TargetError:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes it had when it was opened, or must have."""
        return self.identity.size

    def close(self) -> None:
        """Give the descriptor back; every later use raises TargetError."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            self.close()

    def check(self) -> None:
        """Raise TargetError unless the path still names our file, at its full size."""
        if self.fd < 0:
            raise self._error("is closed", "open the lab again")
        try:
            status = os.stat(self.path)
        except OSError:
            raise self._vanished() from None
        if (status.st_dev, status.st_ino) != self.identity[:2]:
            raise self._replaced()
        if status.st_size < self.identity.size:
            raise self.shrunk()

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes; does not check the identity again."""
        try:
            data = os.pread(self.fd, size, offset)
            while len(data) < size:
                more = os.pread(self.fd, size - len(data), offset + len(data))
                if not more:
                    raise self.shrunk()
                data += more
        except OSError as error:
            raise self._unreadable(offset, error) from error
        return data

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """As `read`, filling `buffer`."""
        done = 0
        while done < len(buffer):
            try:
                got = os.preadv(self.fd, [buffer[done:]], offset + done)
            except OSError as error:
                raise self._unreadable(offset + done, error) from error
            if not got:
                raise self.shrunk()
            done += got

    def open_writable(self) -> int:
        """A new descriptor for writing to this very file; the caller closes it."""
        fd = self._open(os.O_RDWR)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != self.identity[:2]:
            os.close(fd)
            raise self._replaced()
        return fd

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Parts of `[start, end)` that have pages allocated; the others read as zeros."""
        status = os.fstat(self.fd)
        if self.huge_page or status.st_blocks * 512 >= status.st_size:
            # No hole, or nobody tells; so the kernel need not walk over all the pages for one.
            if start < min(end, status.st_size):
                yield start, min(end, status.st_size)
            return
        while start < end:
            try:
                start = os.lseek(self.fd, start, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            stop = min(os.lseek(self.fd, start, os.SEEK_HOLE), end)
            if start < stop:
                yield start, stop
            start = stop

    def present(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The part of `[start, end)` that lies in the file."""
        if start < min(end, self.size):
            yield start, min(end, self.size)

    def shrunk(self) -> TargetError:
        """The error for a file that ends too early."""
        return self._error(
            f"shrank below its {self.identity.size:#x} bytes",
            "somebody truncated it, so its content is lost: start the lab again",
        )

    def _open(self, flags: int) -> int:
        try:
            # O_NONBLOCK: a FIFO must not hang us before we can refuse it.
            flags |= os.O_CLOEXEC | os.O_NONBLOCK | (0 if self._links else os.O_NOFOLLOW)
            fd = os.open(self.path, flags)
        except FileNotFoundError:
            raise self._vanished() from None
        except PermissionError:
            raise self._forbidden(flags) from None
        except OSError as error:
            if error.errno == errno.ELOOP and not self._links:
                raise self._error("is a link, which is not followed", _NAME_IT) from None
            raise self._error(f"cannot be opened: {error.strerror}", _GIVE_RAM) from None
        status = os.fstat(fd)
        refusal = refused(self.path, status) or self._foreign(status)
        if refusal:
            os.close(fd)
            raise self._error(*refusal)
        return fd

    def _foreign(self, status: os.stat_result) -> Refusal | None:
        if belongs(status, self.owners):
            return None
        return Refusal(f"belongs to user {status.st_uid}, so it is left alone", _NAME_IT)

    def _error(self, problem: str, hint: str) -> TargetError:
        return TargetError(f"{self._owner}: {self._what} {self.path} {problem}", hint=hint)

    def _unreadable(self, offset: int, error: OSError) -> TargetError:
        return self._error(
            f"cannot be read at {offset:#x}: {error.strerror}",
            "see what its disk or server says: dmesg, df",
        )

    def _vanished(self) -> TargetError:
        return self._error(
            "does not exist", "its guest was stopped or never started: see 'ntbdbg info'"
        )

    def _replaced(self) -> TargetError:
        return self._error(
            "was replaced by another file", "a new run took its place: repeat the command"
        )

    def _forbidden(self, flags: int) -> TargetError:
        doing = "written" if flags & os.O_RDWR else "read"
        try:
            owner = f"user {os.stat(self.path).st_uid}, who owns it"
        except OSError:
            owner = "its owner"
        return self._error(f"may not be {doing}: no permission", f"run ntbdbg as {owner}")


def _huge_page(fd: int) -> int:
    """As `hugepages.huge_page`, asked only where blocks are large: nearly nowhere."""
    if os.fstatvfs(fd).f_bsize < LEAST_HUGE_PAGE:
        return 0
    from ntbdbg.memory.hugepages import huge_page

    return huge_page(fd)


def sync(path: str) -> None:
    """Wait until a file or folder is on disk; what was renamed in a folder, too."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Refusal(NamedTuple):
    """Why something is not read, as a clause, and what to do instead."""

    problem: str
    hint: str


def refused(path: str, status: os.stat_result) -> Refusal | None:
    """What is to be said of what has `status`; None of a regular file."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return None
    if kind == stat.S_IFIFO:
        return Refusal(
            "is a FIFO, whose bytes pass by once",
            f"put them into a file first: cat {shlex.quote(path)} > FILE",
        )
    return Refusal(f"is {_KINDS.get(kind, 'no regular file')}", _GIVE_RAM)


def replaceable(path: str) -> str:
    """Where a file of that name is to be put by renaming, behind symbolic links.

    :raises UsageError: something else is there: a device would be gone for the whole system
    """
    with contextlib.suppress(OSError):
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind != stat.S_IFREG:
            what = _KINDS.get(kind, "no regular file")
            raise UsageError(f"{path} is {what}, so it is not replaced", hint="name a file")
    return os.path.realpath(path)


_NAME_IT = "if it is meant all the same, name it by its path"

_GIVE_RAM = "give a file: a dump, or that in which QEMU's memory-backend-file keeps a guest's RAM"

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
}
