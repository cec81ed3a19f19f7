# SPDX-License-Identifier: MIT
"""``SOCKET.gdb`` beside a guest's monitor: which process debugs it through QEMU's gdbstub.

At import standard library only: the launcher reads it too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ntbdbg.errors import TargetError
from ntbdbg.lab.manifest import GuestRecord, ProcessRef


def mark_of(record: GuestRecord) -> Path:
    """The file of that guest."""
    return Path(record.qmp + ".gdb")


def debugger_of(record: GuestRecord) -> ProcessRef | None:
    """The debugger that holds a guest, None if none does, or it is gone."""
    if not record.qmp:
        return None
    try:
        data = json.loads(mark_of(record).read_bytes())
        found = ProcessRef(int(data["pid"]), int(data["start_time"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.is_alive() else None


@contextlib.contextmanager
def held(record: GuestRecord) -> Iterator[int]:
    """Be the one who debugs a guest; gives what `note_debugger` wants.

    :raises TargetError: somebody else does, or the file cannot be written
    """
    path = mark_of(record)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}", hint="is the folder yours?") from error
    try:
        other = debugger_of(record)
        if other is not None or not _is_free(fd):
            raise _taken(record, other)
        note_debugger(fd, os.getpid())
        try:
            yield fd
        finally:
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def note_debugger(fd: int, pid: int) -> None:
    """Say in the file behind `fd` that it is process `pid`."""
    process = ProcessRef.of(pid)
    text = json.dumps({"pid": process.pid, "start_time": process.start_time}).encode()
    os.ftruncate(fd, 0)
    os.pwrite(fd, text, 0)


def _is_free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(record: GuestRecord, other: ProcessRef | None) -> TargetError:
    who = f"gdb (process {other.pid})" if other else "another 'ntbdbg gdb'"
    return TargetError(
        f"{who} holds {record.name} already", hint="one debugger at a time: quit that one first"
    )
