# SPDX-License-Identifier: MIT
"""The file that holds the shared page, read one consistent copy at a time."""

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
from ntbdbg.ntb.decode import check_whole, decode_header, decode_page, page_size
from ntbdbg.ntb.model import PortState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntbdbg.ntb.model import Link, PageHeader

HEADER_SIZE = 0x50
RETRIES = 8
"""Reads of the page before a RAM table that is always being rewritten is given up."""

RETRY_DELAY = 0.0005
"""Seconds between them; a port rewrites its table in microseconds."""

_FLOCK = struct.Struct("hhqqi")
"""``struct flock`` of 64-bit Linux: type, whence, start, length, pid."""


class PageFile:
    """An open shared page. Each `read` is one pread, so nothing is shown from two moments.

    :param path: the file
    :param is_live: whether QEMU processes may be using it, so that liveness can be asked
    :raises TargetError: it cannot be opened, or is no regular file
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        is_live: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = os.fspath(path)
        self.is_live = is_live
        self._sleep = sleep
        self._file = CheckedFile(self.name, "link", "shared page")

    def close(self) -> None:
        """Give the file back; idempotent."""
        self._file.close()

    def __enter__(self) -> PageFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> bytes:
        """The page's bytes up to the end of the last port block.

        :raises TargetError: the file vanished, shrank or was replaced
        :raises NtbError: its header is not that of a shared page, or it ends too early
        """
        self._file.check()
        header = decode_header(self._pread(HEADER_SIZE), self.name)
        data = self._pread(page_size(header))
        check_whole(data, header, self.name)
        return data

    def _pread(self, size: int) -> bytes:
        """The first `size` bytes, or fewer where the file is shorter."""
        return os.pread(self._file.fd, size, 0)

    def link(self) -> Link:
        """The page decoded; errors as `read` and `decode_page`."""
        data = self.read()
        for _ in range(RETRIES):
            torn = self._torn(data)
            if not torn:
                break
            self._sleep(RETRY_DELAY)
            data = self.read()
            torn = self._torn(data)
        return decode_page(data, self.name, alive=self.alive(data), torn=torn)

    def alive(self, data: bytes) -> dict[int, bool] | None:
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

    def _torn(self, data: bytes) -> tuple[int, ...]:
        """Partitions whose RAM table was, or may have been, written while `data` was read."""
        header = decode_header(data, self.name)
        later = self._pread(page_size(header))
        return tuple(
            part
            for part in range(header.nports)
            if word(data, header, part, "state") == PortState.ATTACHED
            and (
                (sequence := word(data, header, part, "ram_seq")) & 1
                or sequence != word(later, header, part, "ram_seq")
            )
        )

    def _is_locked(self, byte: int) -> bool:
        """Whether a QEMU holds the claim on this byte (an open file description lock)."""
        ask = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        with suppress(OSError):
            answer = fcntl.fcntl(self._file.fd, fcntl.F_OFD_GETLK, ask)
            return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
        return False


def word(data: bytes, header: PageHeader, part: int, name: str) -> int:
    """One number of a port block by its C name, without decoding the block; 0 beyond the end."""
    at, size = page.port_member(header.endian, name)
    start = header.port_off + part * header.port_stride + at
    return int.from_bytes(data[start : start + size], header.endian)


def _runs(pid: int) -> bool:
    """Whether a process `pid` exists here and is no zombie (proc(5), stat field 3)."""
    if not 0 < pid < 1 << 31:
        return False
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return text[text.rindex(b")") + 2 :][:1] not in (b"Z", b"X")
