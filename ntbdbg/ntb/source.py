# SPDX-License-Identifier: MIT
"""The file that holds the shared page, and who lives."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ntbdbg.memory.file import CheckedFile
from ntbdbg.ntb import page
from ntbdbg.ntb.decode import decode_header
from ntbdbg.ntb.sharedpage import SharedPage, word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RETRY_DELAY = 0.0005
"""Seconds between two reads of a page that is being written; a port does it in microseconds."""

_FLOCK = struct.Struct("hhqqi")
"""``struct flock`` of 64-bit Linux: type, whence, start, length, pid."""


class PageFile(SharedPage):
    """An open shared page. Each `read` is one pread, so nothing is shown from two moments.

    :param path: the file
    :param is_live: whether QEMU processes may be using it, so that liveness can be asked
    :param owners: users whose it may be, see `CheckedFile`
    :raises TargetError: it cannot be opened, is no regular file, or not of `owners`
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        is_live: bool = True,
        owners: tuple[int, ...] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = os.fspath(path)
        self.is_live = is_live
        self._sleep = sleep
        self._file = CheckedFile(self.name, "link", "shared page", owners=owners)

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        self._file.check()

    def _pread(self, size: int) -> bytes:
        return os.pread(self._file.fd, size, 0)

    def _pause(self) -> None:
        self._sleep(RETRY_DELAY)

    def alive(self, data: bytes) -> Mapping[int, bool] | None:
        """By partition, whether its owner lives right now; None where nobody can know.

        A QEMU holds a lock on its port's byte. Where no port does, QEMU could not take locks,
        and its pid has to do.
        """
        if not self.is_live:
            return None
        header = decode_header(data, self.name)
        parts = range(header.nports)
        locked = {part: self._is_locked(page.LOCK_PORT + part) for part in parts}
        if any(locked.values()):
            return locked
        return {part: _runs(word(data, header, part, "pid")) for part in parts}

    def _is_locked(self, byte: int) -> bool:
        """Whether a QEMU holds the claim on this byte (an open file description lock)."""
        ask = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        with suppress(OSError):
            answer = fcntl.fcntl(self._file.fd, fcntl.F_OFD_GETLK, ask)
            return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
        return False


def _runs(pid: int) -> bool:
    """Whether a process `pid` exists here and is no zombie (proc(5), stat field 3)."""
    if not 0 < pid < 1 << 31:
        return False
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return text[text.rindex(b")") + 2 :][:1] not in (b"Z", b"X")
