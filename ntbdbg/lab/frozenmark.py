# SPDX-License-Identifier: MIT
"""``frozen.json``: who stopped which guests of a lab, for whoever has to resume them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import TargetError
from ntbdbg.lab.manifest import ProcessRef

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

NAME = "frozen.json"


class Mark(NamedTuple):
    """What stands still.

    :ivar owner: the process that will resume them, None after ``ntbdbg freeze``
    :ivar guests: names of those that ran before
    :ivar since: seconds since the epoch
    """

    owner: ProcessRef | None
    guests: tuple[str, ...]
    since: float


def write(folder: Path, mark: Mark) -> None:
    """Put the mark down, atomically; TargetError if the folder has no room for it."""
    owner = mark.owner and {"pid": mark.owner.pid, "start_time": mark.owner.start_time}
    text = json.dumps({"owner": owner, "guests": mark.guests, "since": mark.since})
    temporary = folder / f".{NAME}.{os.getpid()}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, folder / NAME)
    except OSError as error:
        raise TargetError(
            f"{folder / NAME}: {error.strerror}; no guest was stopped",
            hint=f"'df {folder}' shows whether the disk is full",
        ) from error


def read(folder: Path) -> Mark | None:
    """The mark, None if there is none or it makes no sense (then nobody relies on it)."""
    try:
        data = json.loads((folder / NAME).read_bytes())
        owner = data["owner"] and ProcessRef(data["owner"]["pid"], data["owner"]["start_time"])
        return Mark(owner, tuple(str(name) for name in data["guests"]), float(data["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(folder: Path) -> None:
    """Take the mark away, if there is one."""
    (folder / NAME).unlink(missing_ok=True)


def forget(folder: Path, guests: Collection[str] | None) -> None:
    """Take `guests` out of the mark, all of them if None."""
    mark = read(folder)
    left = tuple(n for n in mark.guests if n not in guests) if mark and guests is not None else ()
    restore(folder, mark._replace(guests=left) if mark and left else None)


def restore(folder: Path, mark: Mark | None) -> None:
    """Put back what `read` gave earlier."""
    if mark is None:
        remove(folder)
    else:
        write(folder, mark)
