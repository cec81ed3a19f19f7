# SPDX-License-Identifier: MIT
"""RAM files: made anew, private, and never taken from a run that lives.

A file is held by an flock that QEMU inherits with the descriptor: the kernel drops it when the
last process of the run ends, whatever ended it, so a file that can be locked is a leftover.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from run.base.errors import HostError, RunError

MIB = 1 << 20


def create(path: Path, size: int) -> int:
    """Make the RAM file `path` of `size` bytes, sparse, 0600; gives a descriptor that holds it.

    What a dead run left there is unlinked first, never truncated: a peer or a toolkit may still
    have the old file mapped.

    :raises RunError: a live run holds the file, or it is not this user's
    """
    while True:
        old = _take_leftover(path)
        try:
            return _create_new(path, size)
        except FileExistsError:
            continue  # somebody was quicker; look again who it is
        except OSError as error:
            raise HostError(f"cannot make RAM file {path}: {error.strerror}") from error
        finally:
            if old is not None:
                os.close(old)


def remove(path: Path, *, inode: int | None = None) -> bool:
    """Remove a RAM file unless it is held, or is not the file with that inode any more."""
    with suppress(RunError, OSError):
        handle = _take_leftover(path, inode)
        if handle is not None:
            os.close(handle)
            return True
    return False


def check_room(
    needed: int,
    *,
    overcommit: bool,
    folder: Path = Path("/dev/shm"),
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
) -> None:
    """Refuse to start guests whose RAM the folder cannot hold: they would die of SIGBUS."""
    status = statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < needed and not overcommit:
        raise HostError(
            f"{folder} has room for {free // MIB} MiB, the guests' RAM may take {needed // MIB}",
            hint="use less --memory, enlarge it (mount -o remount,size=… /dev/shm;"
            " docker run --shm-size=…), or let them share by --overcommit",
        )


def holders(path: Path) -> list[int]:
    """Processes that have the file mapped for writing, as far as this user may see."""
    try:
        wanted = path.stat()
    except OSError:
        return []
    mark = f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x} {wanted.st_ino} "
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return [pid for pid in pids if _maps(pid, mark)]


def _take_leftover(path: Path, inode: int | None = None) -> int | None:
    """Unlink what lies at `path` if nobody holds it; gives its locked descriptor, or None.

    :param inode: another file than that one is left alone
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else str(error.strerror)
        raise _foreign(path, why) from error
    try:
        if inode is not None and os.fstat(handle).st_ino != inode:
            raise _foreign(path, "is another file")
        _check_leftover(path, handle)
        path.unlink(missing_ok=True)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check_leftover(path: Path, handle: int) -> None:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        raise _foreign(path, "is not a file of this user")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _held(path, holders(path)) from None
    # A QEMU that this launcher did not start holds no lock, but maps the file.
    if others := holders(path):
        raise _held(path, others)


def _create_new(path: Path, size: int) -> int:
    """Make, size and lock the file before it has a name, so that nobody ever sees less of it."""
    handle = os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, size)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # src_dir_fd is what makes Python follow the link in /proc, being linkat() instead of link()
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _maps(pid: int, mark: str) -> bool:
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(mark in line and line.split(" ", 2)[1] == "rw-s" for line in lines)


def _foreign(path: Path, why: str) -> RunError:
    return RunError(f"{path}: {why}, so it is left alone", hint="remove it or use another --name")


def _held(path: Path, pids: Sequence[int]) -> RunError:
    who = f" (pid {', '.join(map(str, pids))})" if pids else ""
    return RunError(
        f"{path} is the RAM of a guest that runs{who}",
        hint="stop that one first, or start without --qemu-map-ram-to-shm",
    )
