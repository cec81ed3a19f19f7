# SPDX-License-Identifier: MIT
"""The one door for trust: what a lab's files say is believed only if nobody else can have said it.

The runtime folder may lie in /tmp, where anybody can make a folder of any name first. A
manifest names files to be written to and processes to be ended, so it counts only where the
caller, or root, owns file and folder and others may not write there, whatever it says of itself.
Shared by the launcher and the toolkit; standard library only.
"""

from __future__ import annotations

import os
import stat

from ntbdbg.errors import PathLike, UntrustedError
from ntbdbg.memory.owned import believed, check_believed, open_believed

_ELSEWHERE = "set XDG_RUNTIME_DIR to a folder of your own"


def read_believed(path: PathLike, limit: int) -> tuple[bytes, int]:
    """At most `limit` bytes of the file `path`, and the user whose it is.

    :raises UntrustedError: somebody else could have written it, or put it there
    :raises OSError: it cannot be read
    """
    folder, name = os.path.split(os.fspath(path))
    inside = open_believed(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd = open_believed(name, os.O_RDONLY, folder=inside, shown=path)
    finally:
        os.close(inside)
    with open(fd, "rb") as file:
        return file.read(limit), os.fstat(fd).st_uid


def check_root(root: PathLike) -> None:
    """Raise UntrustedError unless `root`, which holds all labs, is safe from others.

    :raises FileNotFoundError: it is not there
    """
    base = os.path.dirname(os.fspath(root))
    _check_base(base, os.stat(base))
    _check_folder(root)


def check_lab(folder: PathLike) -> None:
    """As `check_root`, of a lab's `folder` and the root that it is in."""
    check_root(os.path.dirname(os.fspath(folder)))
    _check_folder(folder)


def _check_folder(path: PathLike) -> None:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        what = "is a link" if stat.S_ISLNK(status.st_mode) else "is no folder"
        raise UntrustedError(path, what, hint=_ELSEWHERE)
    check_believed(path, status, hint=_ELSEWHERE)


def _check_base(path: str, status: os.stat_result) -> None:
    """Whoever owns it could put other folders in the place of ours."""
    sticky = status.st_mode & stat.S_ISVTX
    if status.st_uid not in believed() and not (sticky and _is_unmapped(status.st_uid)):
        raise UntrustedError(path, f"belongs to user {status.st_uid}", hint=_ELSEWHERE)
    if status.st_mode & 0o022 and not sticky:
        raise UntrustedError(path, "others may write to it", hint=_ELSEWHERE)


def _is_unmapped(uid: int) -> bool:
    """Whether `uid` stands for all users outside of this user namespace: the host's root there."""
    try:
        with open("/proc/self/uid_map", encoding="utf-8") as map_file:
            ranges = [[int(word) for word in line.split()] for line in map_file]
    except (OSError, ValueError):
        return False
    return not any(first <= uid < first + count for first, _, count in ranges)
