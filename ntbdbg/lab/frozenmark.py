# SPDX-License-Identifier: MIT
"""Who stopped which guests of a lab, for whoever has to let them go on: each undoes its own stop.

``frozen.json`` is ntbdbg's: all guests stand still, for one moment on both sides. ``paused.json``
is that of ``python3 run pause``. Both change under one lock, which whoever stops or continues a
guest holds. Shared by the launcher and the toolkit.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import TargetError
from ntbdbg.lab.manifest import ProcessRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

NAME = "frozen.json"
PAUSED = "paused.json"

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process that holds the lab still."""


class Mark(NamedTuple):
    """What stands still.

    :ivar owner: the process that will resume them, None where a command will
    :ivar guests: names of those that were stopped
    :ivar since: seconds since the epoch
    """

    owner: ProcessRef | None
    guests: tuple[str, ...]
    since: float


def write(folder: Path, mark: Mark, name: str = NAME) -> None:
    """Put the mark down, atomically; TargetError if the folder has no room for it."""
    owner = mark.owner and {"pid": mark.owner.pid, "start_time": mark.owner.start_time}
    text = json.dumps({"owner": owner, "guests": mark.guests, "since": mark.since})
    temporary = folder / f".{name}.{os.getpid()}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, folder / name)
    except OSError as error:
        raise TargetError(
            f"{folder / name}: {error.strerror}; no guest was stopped",
            hint=f"'df {folder}' shows whether the disk is full",
        ) from error


def read(folder: Path, name: str = NAME) -> Mark | None:
    """The mark, None if there is none or it makes no sense (then nobody relies on it)."""
    try:
        data = json.loads((folder / name).read_bytes())
        owner = data["owner"] and ProcessRef(data["owner"]["pid"], data["owner"]["start_time"])
        return Mark(owner, tuple(str(name) for name in data["guests"]), float(data["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(folder: Path, name: str = NAME) -> None:
    """Take the mark away, if there is one."""
    (folder / name).unlink(missing_ok=True)


def forget(folder: Path, guests: Collection[str] | None, name: str = NAME) -> None:
    """Take `guests` out of the mark, all of them if None."""
    mark = read(folder, name)
    left = tuple(n for n in mark.guests if n not in guests) if mark and guests is not None else ()
    restore(folder, mark._replace(guests=left) if mark and left else None, name)


def restore(folder: Path, mark: Mark | None, name: str = NAME) -> None:
    """Put back what `read` gave earlier."""
    if mark is None:
        remove(folder, name)
    else:
        write(folder, mark, name)


def paused(folder: Path) -> tuple[str, ...]:
    """Names of the guests that ``python3 run pause`` stopped."""
    mark = read(folder, PAUSED)
    return mark.guests if mark else ()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock that everybody holds who stops or continues guests; TargetError if busy."""
    path = folder / "freeze.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}", hint="is the folder yours?") from error
    try:
        _lock(fd, folder)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    limit = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= limit:
                break
            time.sleep(0.02)
    mark = read(folder)
    who = f"process {mark.owner.pid}" if mark and mark.owner else "another process"
    raise TargetError(f"{who} holds the lab frozen", hint="wait for it, or end it")
