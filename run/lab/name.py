# SPDX-License-Identifier: MIT
"""A lab's name is held by one process at a time: by a lock, which the kernel drops with it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ntbdbg.errors import UntrustedError
from ntbdbg.lab import trust
from ntbdbg.lab.manifest import ProcessRef
from run.base.errors import RunError
from run.lab.lockholder import lock_holder
from run.vm.plan import LabPaths

_ELSEWHERE = "set XDG_RUNTIME_DIR to a folder of your own"


class HeldError(RunError):
    """Somebody else holds the lab's name."""


def is_there(paths: LabPaths) -> bool:
    """Whether the lab has a folder; raises RunError if others could meddle with what is in it."""
    with _explained():
        try:
            _check(paths)
        except FileNotFoundError:
            return False
        except OSError as error:
            why = f"{paths.folder}: {error.strerror}"
            raise RunError(why, hint=_ELSEWHERE) from error
    return True


def make_folder(paths: LabPaths) -> None:
    """Make the lab's folder, 0700; raises RunError if others could meddle with what is in it.

    Its parent may be in /tmp, where anybody may have made a folder of that name before.
    """
    root = paths.folder.parent
    try:
        with _explained():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            trust.check_root(root)
            paths.folder.mkdir(mode=0o700, exist_ok=True)
            _check(paths)
    except OSError as error:
        why = f"cannot make {paths.folder}: {error.strerror}"
        raise RunError(why, hint=_ELSEWHERE) from error


def take_lock(paths: LabPaths) -> int:
    """Hold the lab's name; raises HeldError if a launcher that lives has it, RunError else."""
    make_folder(paths)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(paths.lock, flags, 0o600)
    except OSError as error:
        raise RunError(f"cannot lock {paths.lock}: {error.strerror}", hint=_ELSEWHERE) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        name = paths.folder.name
        raise HeldError(
            f"lab {name!r} runs already",
            hint=f"'python3 run stop --name {name}' ends it; --name starts another beside it",
        ) from None
    return handle


def holder(paths: LabPaths) -> ProcessRef | None:
    """The process that holds the lab's name."""
    return lock_holder(paths.lock)


def _check(paths: LabPaths) -> None:
    """Root's labs can be believed, but only their own user's launcher may touch them."""
    trust.check_lab(paths.folder)
    owner = paths.folder.lstat().st_uid
    if owner != paths.uid:
        raise RunError(f"{paths.folder}: belongs to user {owner}", hint=_ELSEWHERE)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except UntrustedError as error:
        raise RunError(error.message, hint=error.hint) from error
