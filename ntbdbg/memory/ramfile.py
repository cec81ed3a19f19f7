# SPDX-License-Identifier: MIT
"""The RAM file of a QEMU guest (``memory-backend-file,share=on``), live or left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError, TargetError, UsageError
from ntbdbg.memory.base import AddressRange, PhysicalMemory, Segment, SegmentMap
from ntbdbg.memory.file import CheckedFile, FileIdentity

if TYPE_CHECKING:
    import mmap


class RamFile(PhysicalMemory):
    """Guest RAM in the file at `path`, opened read-only; only `write` opens it otherwise.

    Everything but `view` copies by pread. The mapping is made by the first `view`; on hugetlbfs,
    where it would take pages from the host, a view is a copy.

    :param segments: where its pieces lie
    :param name: what messages call it, by default the file's own name
    :param identity: the file it must be, by default whichever is there now
    :param file: the file, if it is open already
    :param refusal: what `write` raises, where nothing may be changed
    :raises TargetError: no such file, not a regular file, no permission, or not `identity`
    """

    def __init__(
        self,
        path: str,
        segments: Sequence[Segment],
        *,
        name: str | None = None,
        is_live: bool = True,
        identity: FileIdentity | None = None,
        file: CheckedFile | None = None,
        refusal: NtbdbgError | None = None,
    ) -> None:
        self._refusal = refusal
        self.name = name or os.path.basename(path)
        self.is_live = is_live
        self.segments = SegmentMap(segments)
        self.file = file or CheckedFile(path, self.name, "RAM file", identity)
        self.segments.check_backing(self.file.identity.size, self.name)
        self.knows_holes = not self.file.huge_page
        self._mapping: mmap.mmap | None = None

    def close(self) -> None:
        """Give the file back; views that still live keep their mapping, and stay valid."""
        self.file.close()
        # Not mapping.close(): it is refused while a view lives; the last reference ends it.
        self._mapping = None

    def read(self, address: int, size: int) -> bytes:
        segment = self.segments.find(address)
        if segment is not None and 0 < size <= segment.end - address:  # nearly always
            self.check_backing()
            return self.file.read(_offset(segment, address), size)
        self.check(address, size)
        self.check_backing()
        pieces = self.segments.pieces(address, size)
        return b"".join(self.file.read(_offset(seg, at), length) for seg, at, length in pieces)

    def readinto(self, address: int, buffer: memoryview) -> None:
        self.check(address, len(buffer))
        self.check_backing()
        done = 0
        for segment, start, size in self.segments.pieces(address, len(buffer)):
            self.file.readinto(_offset(segment, start), buffer[done : done + size])
            done += size

    def view(self, address: int, size: int) -> memoryview:
        segment = self.check_view(address, size)
        self.check_backing()
        if self.file.huge_page:
            return memoryview(self.file.read(_offset(segment, address), size))
        if self._mapping is None:
            self._mapping = self._map()
        offset = _offset(segment, address)
        return memoryview(self._mapping)[offset : offset + size]

    def write(self, address: int, data: bytes) -> None:
        self.check(address, len(data))
        self.check_backing()
        if self._refusal is not None:
            raise self._refusal
        fd = self.file.open_writable()
        try:
            if self.file.huge_page:
                self._store_in_huge_pages(fd, address, data)
            else:
                self._store(fd, address, data)
        finally:
            os.close(fd)

    def _store(self, fd: int, address: int, data: bytes) -> None:
        old = self.read(address, len(data))
        try:
            self._pwrite(fd, address, data)
        except OSError as error:
            # All or none. Putting back what already went out needs no new room.
            with contextlib.suppress(OSError):
                self._pwrite(fd, address, old)
            hint = f"'df {os.path.dirname(self.file.path)}' shows whether it is full"
            raise self._unwritable(error, hint) from error

    def _store_in_huge_pages(self, fd: int, address: int, data: bytes) -> None:
        from ntbdbg.memory.hugepages import store

        pieces = []
        for segment, start, size in self.segments.pieces(address, len(data)):
            at = start - address
            pieces.append((_offset(segment, start), data[at : at + size]))
        try:
            store(fd, self.file.huge_page, pieces)
        except OSError as error:
            hint = "it is on hugetlbfs: 'grep Huge /proc/meminfo' shows whether huge pages are left"
            raise self._unwritable(error, hint) from error

    def _unwritable(self, error: OSError, hint: str) -> TargetError:
        problem = f"cannot write to RAM file {self.file.path}: {error.strerror}"
        return TargetError(f"{self.name}: {problem}", hint=hint)

    def extents(self, within: AddressRange | None = None) -> Iterator[AddressRange]:
        """Ranges with pages allocated to them; the others are holes, which read as zeros."""
        self.check_backing()
        for part in super().extents(within):
            segment = self.segments.find(part.start)
            assert segment is not None
            shift = segment.offset - segment.start
            for start, end in self.file.data_ranges(part.start + shift, part.end + shift):
                yield AddressRange(start - shift, end - shift)

    def check_backing(self) -> None:
        self.file.check()

    def allocated(self) -> int:
        """Bytes of host memory (or disk) that the whole file takes."""
        self.check_backing()
        return os.fstat(self.file.fd).st_blocks * 512

    def _map(self) -> mmap.mmap:
        import mmap

        try:
            return mmap.mmap(self.file.fd, self.file.identity.size, prot=mmap.PROT_READ)
        except ValueError:  # it shrank since the check
            raise self.file.shrunk() from None

    def _pwrite(self, fd: int, address: int, data: bytes) -> None:
        done = 0
        for segment, start, size in self.segments.pieces(address, len(data)):
            end = done + size
            offset = _offset(segment, start) - done
            while done < end:
                done += os.pwrite(fd, data[done:end], offset + done)


def never_changed(name: str) -> UsageError:
    """The error of those who would write into a capture."""
    return UsageError(f"{name}: a capture is never changed", hint="patch a running lab instead")


def _offset(segment: Segment, address: int) -> int:
    return address - segment.start + segment.offset
