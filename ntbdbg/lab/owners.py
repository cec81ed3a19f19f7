# SPDX-License-Identifier: MIT
"""Whose RAM a file is that was named by its path: a guest's of one of this user's labs?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import lab_files
from ntbdbg.lab.where import Found, lab_at

if TYPE_CHECKING:
    from ntbdbg.lab.manifest import GuestRecord

Owner = tuple[Found, "GuestRecord"]


def owner_of(path: str, known: Found) -> Owner | None:
    """The lab and guest whose RAM is the file at `path`, by device and inode.

    A guest that is gone keeps no file from being deleted, so that another gets its number: there
    the path must be the same, too.

    :param known: the lab that is open already; it is asked first
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    for found in _labs(known):
        for record in found.manifest.guests if found.manifest else ():
            same = (record.ram.device, record.ram.inode) == (status.st_dev, status.st_ino)
            if same and (record.is_alive() or os.path.realpath(path) == record.ram.path):
                return found, record
    return None


def _labs(known: Found) -> Iterator[Found]:
    if known.capture is None:
        yield known
    for name, path in _files().items():
        if path == known.path:
            continue
        with contextlib.suppress(NtbdbgError):
            yield lab_at(path, f"the lab of that RAM file, {name!r}")


def _files() -> dict[str, str]:
    try:
        return lab_files()
    except NtbdbgError:  # somebody else's folder: nothing in it is believed
        return {}
