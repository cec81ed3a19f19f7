# SPDX-License-Identifier: MIT
"""The user as whom apt fetches, where we are root and that user can get at our folders.

What comes from the network is parsed by apt's methods before anything of it is checked, so they
should be able to do as little as possible. apt drops to `_apt` for it by itself, but only where
that user may write.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "_apt"
AS_ROOT = "root"

#: permission bits, as for others
_ENTER, _READ = 0o1, 0o4


def sandbox_user(needed: Iterable[Path]) -> str:
    """``_apt`` if it can read all that is `needed`, else ``root``: apt does not drop then."""
    user = _user()
    return NAME if user and all(_reaches(user, path) for path in needed) else AS_ROOT


@contextmanager
def lent(folder: Path) -> Iterator[bool]:
    """Give a folder and its files to apt's user for a while; False if that would be of no use.

    They are root's again before anybody looks at what was fetched.
    """
    user = _user()
    if user is None or not _reaches(user, folder):
        yield False
        return
    try:
        _give(folder, user.pw_uid)
        yield True
    finally:
        _give(folder, os.geteuid())


def _user() -> pwd.struct_passwd | None:
    """None where nothing can be dropped to."""
    with suppress(KeyError):
        return pwd.getpwnam(NAME) if os.geteuid() == 0 else None
    return None


def _reaches(user: pwd.struct_passwd, path: Path) -> bool:
    """Whether every folder on the way lets the user in, and the last thing lets it read."""
    real = path.resolve()
    bits = _READ | _ENTER if real.is_dir() else _READ
    try:
        on_the_way = all(_may(user, folder, _ENTER) for folder in real.parents)
        return on_the_way and _may(user, real, bits)
    except OSError:
        return False


def _may(user: pwd.struct_passwd, path: Path, bits: int) -> bool:
    status = path.stat()
    whose = 6 if status.st_uid == user.pw_uid else 3 if status.st_gid == user.pw_gid else 0
    return (status.st_mode >> whose) & bits == bits


def _give(folder: Path, uid: int) -> None:
    """The folder before its files: when root takes it back, none can be added meanwhile."""
    os.chown(folder, uid, -1, follow_symlinks=False)
    for path in folder.iterdir():
        os.chown(path, uid, -1, follow_symlinks=False)
