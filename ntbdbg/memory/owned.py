# SPDX-License-Identifier: MIT
"""Whose a file is: judged by what was opened, not by its name.

/tmp and /dev/shm are everybody's: a name there may lead to a stranger's file, or be a link to
one of the caller's own. So links are not followed, and `os.fstat` of the descriptor decides.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Collection

from ntbdbg.errors import PathLike, UntrustedError

ROOT = 0


def believed() -> tuple[int, ...]:
    """Users on whose word this process acts: its own, and root, who can do everything anyway."""
    return (os.getuid(), ROOT)


def open_believed(
    path: PathLike, flags: int, *, folder: int | None = None, shown: PathLike | None = None
) -> int:
    """Open what only the caller, or root, can have written; the caller closes it.

    :param flags: as for `os.open`; with O_CREAT it is made with mode 0600
    :param folder: descriptor of the folder that `path` starts from
    :param shown: what messages call it, by default `path`
    :raises UntrustedError: it is a link, somebody else's, or others may write to it
    :raises OSError: it cannot be opened
    """
    shown = path if shown is None else shown
    # O_NONBLOCK: a FIFO must not hang us.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(path, folder):
            raise UntrustedError(shown, "is a link", hint="name what it leads to") from None
        raise
    try:
        check_believed(shown, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_believed(path: PathLike, status: os.stat_result, hint: str | None = None) -> None:
    """Raise UntrustedError unless only the caller, or root, can have written what is at `path`.

    :param hint: what to do about somebody else's
    """
    if status.st_uid not in believed():
        advice = hint or f"run this as user {status.st_uid}, or name one of your own"
        raise UntrustedError(path, f"belongs to user {status.st_uid}", hint=advice)
    # An access control list that lets others write shows here, too: its mask is the group's bits.
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise UntrustedError(
            path, "others may write to it", hint=f"chmod go-w {shlex.quote(os.fspath(path))}"
        )


def belongs(status: os.stat_result, owners: Collection[int] | None) -> bool:
    """Whether one of `owners` owns it; None are those of a file that the user named himself."""
    return owners is None or status.st_uid in owners


def _is_link(path: PathLike, folder: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
