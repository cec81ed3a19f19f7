# SPDX-License-Identifier: MIT
"""A lab's name is held by one process at a time: by a lock, which the kernel drops with it."""

from __future__ import annotations

import fcntl
import os
import stat

from ntbdbg.target.manifest import ProcessRef
from run.errors import RunError
from run.plan import LabPaths

_ELSEWHERE = "set XDG_RUNTIME_DIR to a folder of this user"


def make_folder(paths: LabPaths) -> None:
    """Make the lab's folder, 0700; raises RunError if others could meddle with what is in it.

    Its parent may be in /tmp, where anybody may have made a folder of that name before.
    """
    for folder in (paths.folder.parent, paths.folder):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.lstat()
        except OSError as error:
            raise RunError(f"cannot make {folder}: {error.strerror}", hint=_ELSEWHERE) from error
        if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
            raise RunError(f"{folder} is not a folder of this user", hint=_ELSEWHERE)
        if status.st_mode & 0o022:
            raise RunError(f"{folder}: others may write to it", hint=f"chmod go-w {folder}")


def take_lock(paths: LabPaths) -> int:
    """Hold the lab's name; raises RunError if a launcher that lives has it."""
    make_folder(paths)
    try:
        handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunError(f"cannot lock {paths.lock}: {error.strerror}", hint=_ELSEWHERE) from error
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
