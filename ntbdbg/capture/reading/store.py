# SPDX-License-Identifier: MIT
"""The files of a capture, whether they lie in a folder or in one packed file.

Packed, they are a tar archive in the seekable form of zstd (`members` finds them in it).
Both tell how much of each file is there, which after a truncation is less than run.json says.
"""

from __future__ import annotations

import contextlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.capture.reading.checksums import Damage
from ntbdbg.capture.reading.members import Member, Members, find_members
from ntbdbg.errors import FormatError, TargetError
from ntbdbg.lab.manifest import CHECKSUM_FILE, FILE_NAME
from ntbdbg.memory import formats
from ntbdbg.memory.file import CheckedFile, FileIdentity, refused
from ntbdbg.memory.packed import PackedMemory
from ntbdbg.memory.ramfile import RamFile, never_changed
from ntbdbg.memory.seekable import SeekableFile
from ntbdbg.memory.zstdframes import MAGIC, TABLE_END

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.segments import Segment


class Store(ABC):
    """Read access to a capture's files by their plain names.

    :ivar path: of the capture
    :ivar problem: what is wrong with the store as a whole though it can be read, or None
    """

    path: str
    problem: str | None = None

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Bytes of file `name` that are there, None if it is not."""

    @abstractmethod
    def read(self, name: str, offset: int, size: int) -> bytes:
        """Exactly these bytes.

        :raises FormatError: they are damaged, or not all there
        :raises TargetError: no such file
        """

    @abstractmethod
    def memory(self, name: str, segments: Sequence[Segment], guest: str) -> PhysicalMemory:
        """File `name` as a guest's RAM; its segments must lie in what is there."""

    @abstractmethod
    def where(self, name: str) -> str:
        """The path of file `name`, for people."""

    @abstractmethod
    def touched(self, name: str) -> Iterator[tuple[int, int]]:
        """Parts of file `name` that may be other than zeros."""

    def damaged_copies(self) -> Iterator[Damage]:
        """Those of a file that is there several times; one that is whole is enough to read it."""
        return iter(())

    def close(self) -> None:  # noqa: B027 - a folder holds nothing open
        """Give all files back."""

    def _missing(self, name: str) -> TargetError:
        return TargetError(
            f"{self.path}: {name} is missing", hint="'ntbdbg verify' tells what of it is whole"
        )


class FolderStore(Store):
    """A capture in the folder at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def size(self, name: str) -> int | None:
        identity = self._identity(name)
        return None if identity is None else identity.size

    def read(self, name: str, offset: int, size: int) -> bytes:
        file = self._open(name)
        try:
            if offset + size > file.identity.size:
                raise FormatError(file.path, file.identity.size, "ends there", hint=_VERIFY)
            return file.read(offset, size)
        finally:
            file.close()

    def memory(self, name: str, segments: Sequence[Segment], guest: str) -> PhysicalMemory:
        identity = self._identity(name)
        if identity is None:
            raise self._missing(name)
        return RamFile(
            self.where(name),
            segments,
            name=guest,
            is_live=False,
            file=CheckedFile(self.where(name), guest, "RAM file", identity, links=False),
            refusal=never_changed(guest),
        )

    def where(self, name: str) -> str:
        return os.path.join(self.path, name)

    def touched(self, name: str) -> Iterator[tuple[int, int]]:
        file = self._open(name)
        try:
            yield from file.data_ranges(0, file.identity.size)
        finally:
            file.close()

    def _open(self, name: str) -> CheckedFile:
        identity = self._identity(name)
        if identity is None:
            raise self._missing(name)
        return CheckedFile(self.where(name), "capture", "file", identity, links=False)

    def _identity(self, name: str) -> FileIdentity | None:
        """Of the file itself: what is opened by its name later must be this, and no link."""
        path = self.where(name)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TargetError(f"{path}: {error.strerror}", hint="is the capture yours?") from error
        if not stat.S_ISREG(status.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no regular file"
            raise FormatError(path, None, f"is {kind}", hint="a capture holds plain files only")
        return FileIdentity(status.st_dev, status.st_ino, status.st_size)


class PackedStore(Store):
    """A capture in the one file at `path`.

    :raises FormatError: it is no packed capture
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._packed = SeekableFile(path, "capture")
        found = find_members(self._packed)
        if found.problem and self._packed.rebuilt is None:
            found = self._without_index(found)
        self._members: dict[str, list[Member]] = {}
        for member in found.files:
            self._members.setdefault(member.name, []).append(member)
        self.problem = found.problem or self._packed.rebuilt or self._packed.index_problem

    def _without_index(self, found: Members) -> Members:
        """Of an index with a wrong number in it the frames themselves know better."""
        walked = SeekableFile(self.path, "capture", walk=True)
        other = find_members(walked)
        if other.problem is None or len(other.files) > len(found.files):
            self._packed, walked, found = walked, self._packed, other
        walked.close()
        return found

    def close(self) -> None:
        self._packed.close()

    def size(self, name: str) -> int | None:
        if name not in self._members:
            return None
        return max(self._present(member) for member in self._members[name])

    def read(self, name: str, offset: int, size: int) -> bytes:
        first, *copies = self._copies(name)
        for copy in copies:
            with contextlib.suppress(FormatError):
                return self._read(copy, offset, size)
        return self._read(first, offset, size)

    def _read(self, member: Member, offset: int, size: int) -> bytes:
        if offset + size > member.size:
            raise FormatError(self.where(member.name), member.size, "ends there", hint=_VERIFY)
        return self._packed.read(member.offset + offset, size)

    def memory(self, name: str, segments: Sequence[Segment], guest: str) -> PhysicalMemory:
        return PackedMemory(self._packed, self._copies(name)[0].offset, segments, name=guest)

    def where(self, name: str) -> str:
        return f"{self.path}:{name}"

    def touched(self, name: str) -> Iterator[tuple[int, int]]:
        yield 0, self.size(name) or 0

    def damaged_copies(self) -> Iterator[Damage]:
        for name, members in self._members.items():
            for member in members if len(members) > 1 else ():
                try:
                    self._read(member, 0, member.size)
                except FormatError as error:
                    yield Damage(name, 0, member.size, f"one of its copies: {error.reason}")

    def _copies(self, name: str) -> list[Member]:
        if name not in self._members:
            raise self._missing(name)
        return self._members[name]

    def _present(self, member: Member) -> int:
        return max(0, min(member.size, self._packed.size - member.offset))


def open_store(path: str) -> Store:
    """The capture at `path`, folder or file.

    :raises TargetError, FormatError: there is none, or something else
    """
    if not os.path.lexists(path):
        raise TargetError(f"{path}: no such capture", hint="'ntbdbg capture' makes one")
    if os.path.isdir(path):
        if not any(os.path.lexists(os.path.join(path, name)) for name in _ALWAYS):
            raise TargetError(
                f"{path}: the folder is no capture", hint="'ntbdbg capture' makes one"
            )
        return FolderStore(path)
    if not is_packed(path):
        raise _no_capture(path)
    return PackedStore(path)


def is_packed(path: str) -> bool:
    """Whether the file at `path` begins or ends like a packed capture."""
    try:
        # O_NONBLOCK: a FIFO must not hang us.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return False
        end = os.pread(fd, len(TABLE_END), max(0, status.st_size - len(TABLE_END)))
        return os.pread(fd, len(MAGIC), 0) == MAGIC or end == TABLE_END
    except OSError:
        return False
    finally:
        os.close(fd)


def _no_capture(path: str) -> TargetError:
    """What is at `path` instead, as far as it is known, and what to do with it."""
    try:
        refusal = refused(path, os.stat(path))
    except OSError as error:
        return TargetError(f"{path}: {error.strerror}", hint="is the capture yours?")
    if refusal:
        return TargetError(f"{path} {refusal.problem}", hint=refusal.hint)
    if formats.sniff(path):
        hint = f"it has no checksums to verify; 'ntbdbg --from {path} info' opens it"
        return TargetError(f"{path} begins as a dump, not as a capture", hint=hint)
    folder = os.path.dirname(path) or "."
    if os.path.exists(os.path.join(folder, CHECKSUM_FILE)):
        return TargetError(f"{path} is a part of a capture", hint=f"name all of it: {folder}")
    return TargetError(
        f"{path} is no capture: no folder, and it neither begins nor ends as a packed one",
        hint="'ntbdbg capture' makes captures; other files with guests' memory go with --from",
    )


_ALWAYS = (FILE_NAME, CHECKSUM_FILE)
"""Files of which a capture has at least one, however damaged."""

_VERIFY = "'ntbdbg verify' tells what of it is whole"
