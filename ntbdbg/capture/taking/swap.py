# SPDX-License-Identifier: MIT
"""Two names of one file system exchanged, so that at no moment either is missing."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
_LACKING = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""What a file system, a kernel or a C library answers that cannot do it."""


def swap(a: str, b: str) -> None:
    """Exchange what is at `a` with what is at `b`, files or folders.

    In one step where the file system can (renameat2(2)); elsewhere in three, and what was at `b`
    is put back if the second one fails.

    :raises OSError: it cannot be done, and both are where they were
    """
    try:
        _exchange(a, b)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        _in_steps(a, b)


def _exchange(a: str, b: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        renameat2 = libc.renameat2  # glibc 2.28, musl has none
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), a) from None
    words = _AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _EXCHANGE
    if renameat2(*words) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), a, None, b)


def _in_steps(a: str, b: str) -> None:
    aside = f"{b}.{os.getpid()}.aside"
    os.rename(b, aside)
    try:
        os.rename(a, b)
    except BaseException:
        os.rename(aside, b)
        raise
    with contextlib.suppress(OSError):
        os.rename(aside, a)
