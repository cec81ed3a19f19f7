# SPDX-License-Identifier: MIT
"""A lab's name is held by one process at a time: by a lock, which the kernel drops with it."""

from __future__ import annotations

import fcntl
import os

from ntbdbg.target.manifest import ProcessRef
from run.errors import RunError
from run.plan import LabPaths


def take_lock(paths: LabPaths) -> int:
    """Hold the lab's name; raises RunError if a launcher that lives has it."""
    try:
        paths.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunError(
            f"cannot make {paths.folder}: {error.strerror}",
            hint="set XDG_RUNTIME_DIR to a folder of this user",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        name = paths.folder.name
        raise RunError(
            f"lab {name!r} runs already",
            hint=f"'python3 run stop --name {name}' ends it; --name starts another beside it",
        ) from None
    _sign(handle)
    return handle


def holder(paths: LabPaths) -> ProcessRef | None:
    """The process that took the lab's name last, if it still lives.

    The lock file says so itself, because run.json may be broken, or not be written yet.
    """
    try:
        pid, start_time = paths.lock.read_text(encoding="ascii").split()
        process = ProcessRef(pid=int(pid), start_time=int(start_time))
    except (OSError, ValueError):
        return None
    return process if process.is_alive() else None


def _sign(handle: int) -> None:
    me = ProcessRef.of(os.getpid())
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{me.pid} {me.start_time}\n".encode(), 0)
