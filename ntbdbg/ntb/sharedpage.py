# SPDX-License-Identifier: MIT
"""The shared page, read one consistent copy at a time, whatever it is read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbError
from ntbdbg.ntb import page
from ntbdbg.ntb.decode import MAX_PAGE, check_whole, decode_header, decode_page, page_size
from ntbdbg.ntb.model import PortState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from ntbdbg.ntb.model import Link, PageHeader
    from ntbdbg.ntb.recorder import PortRecord

HEADER_SIZE = 0x60
_NO_RINGS = "ivshmem-server needs -l 1M, and QEMU a device of this version"
RETRIES = 8
"""Reads of the page before a RAM table that is always being rewritten is given up."""


class SharedPage(ABC):
    """Somewhere to read the shared page from, one consistent copy at a time.

    :ivar name: where that is, for people
    :ivar is_live: whether QEMU processes may be using it, so that it can change
    """

    name: str
    is_live: bool

    @abstractmethod
    def _pread(self, size: int) -> bytes:
        """The first `size` bytes, or fewer where there are no more."""

    @abstractmethod
    def check(self) -> None:
        """Raise TargetError if the page vanished, shrank or was replaced."""

    @abstractmethod
    def alive(self, data: bytes) -> Mapping[int, bool] | None:
        """By partition, whether its owner lives; None where nobody can know."""

    def close(self) -> None:  # noqa: B027 - bytes have nothing to give back
        """Give the file back; idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> bytes:
        """The page's bytes up to the end of the last port block.

        :raises TargetError: the file vanished, shrank or was replaced
        :raises NtbError: its header is not that of a shared page, or it ends too early
        """
        self.check()
        header = decode_header(self._pread(HEADER_SIZE), self.name)
        data = self._pread(page_size(header))
        check_whole(data, header, self.name)
        return data

    def whole(self, limit: int) -> bytes:
        """All bytes of the page up to `limit`, whatever they are."""
        self.check()
        return self._pread(limit)

    def link(self) -> Link:
        """The page decoded; errors as `read` and `decode_page`."""
        data = self.read()
        for _ in range(RETRIES):
            torn = self._torn(data)
            if not torn:
                break
            self._pause()
            data = self.read()
            torn = self._torn(data)
        return decode_page(data, self.name, alive=self.alive(data), torn=torn)

    def records(self) -> tuple[PortRecord, ...]:
        """The flight recorders of all ports.

        :raises NtbError: the page has none, or its header makes no sense
        :raises TargetError: the file vanished, shrank or was replaced
        """
        from ntbdbg.ntb import recorder

        self.check()
        header = decode_header(self._pread(HEADER_SIZE), self.name)
        data = self._pread(min(recorder.rings_end(header), MAX_PAGE))
        why = recorder.why_no_rings(header, len(data))
        if why is not None:
            raise NtbError(f"{self.name}: nothing is recorded here: {why}", hint=_NO_RINGS)
        for _ in range(RETRIES):
            later = self._pread(len(data))
            if not recorder.unsettled(data, later, header):
                break
            self._pause()
            data = self._pread(len(data))
        return recorder.decode_rings(data, later, header)

    def _pause(self) -> None:  # noqa: B027 - nobody is writing to a copy
        """Let a port finish what it is writing."""

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


class PageBytes(SharedPage):
    """A copy of the shared page, out of a capture.

    :param alive: by partition, whether its owner lived when the copy was made
    """

    def __init__(self, name: str, data: bytes, alive: Mapping[int, bool] | None = None) -> None:
        self.name = name
        self.is_live = False
        self._data = data
        self._alive = alive

    def check(self) -> None:
        pass  # nothing but this process can take it away

    def alive(self, data: bytes) -> Mapping[int, bool] | None:
        return self._alive

    def _pread(self, size: int) -> bytes:
        return self._data[:size]


def word(data: bytes, header: PageHeader, part: int, name: str) -> int:
    """One number of a port block by its C name, without decoding the block; 0 beyond the end."""
    at, size = page.port_member(header.endian, name, header.major)
    start = header.port_off + part * header.port_stride + at
    return int.from_bytes(data[start : start + size], header.endian)
