# SPDX-License-Identifier: MIT
"""The patch journal: what was overwritten, on disk before it is.

One JSON object a line, appended under a lock and synced. A line that was cut short by a
crash is the last one, describes a patch that was never applied, and is dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from ntbdbg.errors import FormatError, NtbdbgError, TargetError
from ntbdbg.memory.file import FileIdentity
from ntbdbg.memory.owned import open_believed
from ntbdbg.memory.segments import Segment

MAX_SIZE = 1 << 30
"""Bytes; a longer journal is not read into memory."""


class Patch(NamedTuple):
    """One change of a guest's memory.

    :ivar number: what ``undo`` takes, from 1
    :ivar time: seconds since the epoch
    :ivar guest: whose memory it was, for people
    :ivar path: the RAM file
    :ivar identity: of that file
    :ivar segments: where in the file the bytes lie
    :ivar undone: whether it was taken back
    :ivar owners: users whose file it may be, see `CheckedFile`
    """

    number: int
    time: float
    guest: str
    path: str
    identity: FileIdentity
    segments: tuple[Segment, ...]
    address: int
    old: bytes
    new: bytes
    undone: bool = False
    owners: tuple[int, ...] | None = None


class Journal:
    """The journal at `path`; the file is made, with mode 0600, by the first patch."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def patches(self) -> list[Patch]:
        """All patches, oldest first.

        :raises UntrustedError: somebody else could have written it
        :raises TargetError: the journal cannot be read
        :raises FormatError: a line in it is not ours
        """
        try:
            with open(self._open(os.O_RDONLY), "rb") as file:
                return self._parse(file.read(MAX_SIZE))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TargetError(f"{self.path}: {error.strerror}", hint=_HINT) from error

    @contextlib.contextmanager
    def patching(self, patch: Patch, *, above: int = 0) -> Iterator[Patch]:
        """Write `patch` down and sync it, for the block that stores its bytes; gives it numbered.

        A block that fails by an error of ours has changed nothing: the journal is as before then.

        :param above: the number is higher than this one
        :raises TargetError: no room, no permission: then nothing may be patched
        """
        with self._locked() as fd:
            known = self._parse(_read(fd))
            last = max((one.number for one in known), default=0)
            numbered = patch._replace(number=max(last, above) + 1)
            with self._noted(fd, _encode(numbered)):
                yield numbered

    @contextlib.contextmanager
    def undoing(self, patch: Patch, found: bytes) -> Iterator[None]:
        """Note that the block takes `patch` back from memory that holds `found`; as `patching`."""
        with self._locked() as fd, self._noted(fd, {"undo": patch.number, "found": found.hex()}):
            yield

    @contextlib.contextmanager
    def _noted(self, fd: int, entry: dict[str, Any]) -> Iterator[None]:
        """A line that is gone again if the block could not do what it says."""
        before = self._append(fd, entry)
        try:
            yield
        except NtbdbgError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, before)
                os.fsync(fd)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            fd = self._open(os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def _open(self, flags: int) -> int:
        """It says what is written where, so nobody else may have had a hand in it."""
        folder, name = os.path.split(self.path)
        inside = open_believed(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return open_believed(name, flags, folder=inside, shown=self.path)
        finally:
            os.close(inside)

    def _append(self, fd: int, entry: dict[str, Any]) -> int:
        """Add a line after the last whole one, whose end it gives; failing leaves all as before."""
        whole = _read(fd).rfind(b"\n") + 1
        line = json.dumps(entry).encode() + b"\n"
        try:
            os.ftruncate(fd, whole)
            if os.pwrite(fd, line, whole) < len(line):
                raise OSError(28, os.strerror(28))  # ENOSPC: the rest found no room
            os.fsync(fd)
            _sync_folder(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, whole)
            raise self._unwritable(error) from error
        return whole

    def _parse(self, data: bytes) -> list[Patch]:
        patches: dict[int, Patch] = {}
        offset = 0
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            try:
                entry = json.loads(line)
                if "undo" in entry:
                    patches[entry["undo"]] = patches[entry["undo"]]._replace(undone=True)
                else:
                    patch = _decode(entry)
                    patches[patch.number] = patch
            except (ValueError, KeyError, TypeError, IndexError):
                raise FormatError(
                    self.path, offset, "no line of a patch journal", hint=_HINT
                ) from None
            offset += len(line)
        return list(patches.values())

    def _unwritable(self, error: OSError) -> TargetError:
        return TargetError(
            f"patch journal {self.path}: {error.strerror}; no memory was changed",
            hint="the old bytes must be safe first: make room there, or see to its permissions",
        )


_HINT = "move the journal away to start a new one"


def _read(fd: int) -> bytes:
    return os.pread(fd, min(os.fstat(fd).st_size, MAX_SIZE), 0)


def _sync_folder(path: str) -> None:
    """Make the file's name durable too."""
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _encode(patch: Patch) -> dict[str, Any]:
    return {
        "patch": patch.number,
        "time": patch.time,
        "guest": patch.guest,
        "file": [patch.path, *patch.identity],
        "owners": patch.owners,
        "segments": patch.segments,
        "address": patch.address,
        "old": patch.old.hex(),
        "new": patch.new.hex(),
    }


def _decode(entry: dict[str, Any]) -> Patch:
    path, *identity = entry["file"]
    return Patch(
        number=int(entry["patch"]),
        time=float(entry["time"]),
        guest=str(entry["guest"]),
        path=str(path),
        identity=FileIdentity(*identity),
        segments=tuple(Segment(*segment) for segment in entry["segments"]),
        address=int(entry["address"]),
        old=bytes.fromhex(entry["old"]),
        new=bytes.fromhex(entry["new"]),
        owners=None if entry.get("owners") is None else tuple(map(int, entry["owners"])),
    )
