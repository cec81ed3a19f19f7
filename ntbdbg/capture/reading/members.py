# SPDX-License-Identifier: MIT
"""Which files are where in a packed capture, also where a tar header of it is damaged.

Headers lead from one file to the next. Behind a damaged one the files are found by checksums.json,
which comes last and lists all files with their sizes in their order; without it by the headers
that follow, as each is a frame of its own. What two of them say differently is not believed.
"""

from __future__ import annotations

import contextlib
import itertools
import tarfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.capture.reading import checksums
from ntbdbg.errors import FormatError
from ntbdbg.lab.manifest import CHECKSUM_FILE, FILE_NAME

if TYPE_CHECKING:
    from ntbdbg.memory.seekable import SeekableFile

SECTOR = 512
"""Bytes of a tar header; content is padded to a multiple of it."""

END = 2 * SECTOR
"""Bytes of zeros behind the last file of a tar archive."""

MAX_FILES = 512
MOST_LOOKS = 8192
"""Places where a header is looked for, where some are missing."""


class Member(NamedTuple):
    """A file in a tar archive: where its bytes start, and how many it should have."""

    name: str
    offset: int
    size: int

    @property
    def header(self) -> int:
        """Where its header is."""
        return self.offset - SECTOR

    @property
    def end(self) -> int:
        """Where the next header is."""
        return self.offset + padded(self.size)


class Members(NamedTuple):
    """What is there.

    :ivar files: in their order; run.json is there twice
    :ivar problem: what is wrong, as a clause; None if nothing is
    """

    files: tuple[Member, ...]
    problem: str | None


def padded(size: int) -> int:
    """Bytes that a file of `size` takes."""
    return -(-size // SECTOR) * SECTOR


def find_members(packed: SeekableFile) -> Members:
    """The files of the archive `packed`, as far as anything tells of them."""
    return _Finder(packed).members()


class _Finder:
    """A frame of `SECTOR` bytes is a header, and nothing else is: so `packing` makes them."""

    def __init__(self, packed: SeekableFile) -> None:
        self._packed = packed
        self._looks = MOST_LOOKS

    def members(self) -> Members:
        packed = self._packed
        files, at = self._chain(0)
        if at + END == packed.size:
            return Members(files, None if self._is_end(at) else "the end of its archive is damaged")
        if at + SECTOR > packed.size:
            return Members(files, f"is cut off after {packed.size:#x} bytes of content")
        return self._by_checksums(files) or self._by_headers(files, at)

    # -- headers ---------------------------------------------------------------------------

    def _chain(self, at: int) -> tuple[tuple[Member, ...], int]:
        """From header to header: the files, and where the first one is that is none."""
        found: list[Member] = []
        while at + SECTOR <= self._packed.size and len(found) < MAX_FILES:
            member = self._header(at)
            if member is None:
                break
            found.append(member)
            at = member.end
        return tuple(found), at

    def _header(self, at: int) -> Member | None:
        self._looks -= 1
        if self._looks < 0:
            return None
        try:
            raw = self._packed.read(at, SECTOR)
            info = tarfile.TarInfo.frombuf(raw, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, FormatError):
            return None
        plain = info.isreg() and info.size >= 0
        return Member(info.name, at + SECTOR, info.size) if plain else None

    def _is_end(self, at: int) -> bool:
        try:
            return not any(self._packed.read(at, END))
        except FormatError:
            return False

    # -- by checksums.json -----------------------------------------------------------------

    def _by_checksums(self, before: Sequence[Member]) -> Members | None:
        """Where the files must be; None if it is lost, or cannot be right.

        :param before: the files in front of the first damaged header
        """
        found = self._checksum_file()
        if found is None:
            return None
        last, sums = found
        files = [*_listed(sums, last.header), last]
        headers = [self._header(member.header) for member in files]
        pairs = list(zip(files, headers, strict=True))
        joined = all(one.end == after.header for one, after in itertools.pairwise(files))
        if not joined or any(header not in (member, None) for member, header in pairs):
            return None
        damaged = dict.fromkeys(member.name for member, header in pairs if header is None)
        if not damaged or list(before) != files[: len(before)]:
            return None
        whose = " and ".join(damaged)
        return Members(tuple(files), f"the header of {whose} is damaged; found by {CHECKSUM_FILE}")

    def _checksum_file(self) -> tuple[Member, dict[str, checksums.Sums]] | None:
        """The last file, whether or not its header is damaged."""
        end = self._packed.size - END
        for start in self._last_contents(end):
            with contextlib.suppress(FormatError):
                data = self._packed.read(start, end - start).rstrip(b"\0")
                sums = checksums.parse(data, CHECKSUM_FILE)
                if len(sums) < MAX_FILES:
                    return Member(CHECKSUM_FILE, start, len(data)), sums
        return None

    def _last_contents(self, end: int) -> Iterator[int]:
        """Where the last file may begin: behind one of the last two frames that may be headers.

        Two, as captures exist in which the content of a file has the size of a header.
        """
        low = end
        index = self._packed.index_at(end) if end > 0 else 0
        found = 0
        while index > 0 and found < 2 and end - low <= checksums.MAX_FILE:
            index -= 1
            low, high = self._packed[index].content
            if high - low == SECTOR:
                found += 1
                yield high

    # -- by headers ------------------------------------------------------------------------

    def _by_headers(self, before: Sequence[Member], at: int) -> Members:
        """What can be told without checksums.json: files behind headers that are whole."""
        files, lost = list(before), []
        while at + END < self._packed.size:
            if files and not self._is_frame(at):  # then the sizes of its frames are wrong
                at = files.pop().header
            chain, end = self._next_chain(at)
            stop = chain[0].header if chain else self._packed.size
            lost.append(f"{at:#x}-{stop:#x}")
            files += chain
            at = end
        return Members(
            tuple(files), f"headers are damaged: of its content {', '.join(lost)} is lost"
        )

    def _next_chain(self, after: int) -> tuple[tuple[Member, ...], int]:
        """The first files behind a place; none, and the end, if there is no header."""
        packed = self._packed
        for index in range(packed.index_at(after), len(packed)):
            low, high = packed[index].content
            if high - low == SECTOR and low > after:
                chain, end = self._chain(low)
                if chain and (end + END >= packed.size or self._is_frame(end)):
                    return chain, end
        return (), packed.size

    def _is_frame(self, at: int) -> bool:
        """Whether a frame of the size of a header begins there."""
        low, high = self._packed[self._packed.index_at(at)].content
        return low == at and high - low == SECTOR


def _listed(sums: dict[str, checksums.Sums], end: int) -> Iterator[Member]:
    """The files in front of checksums.json, whose header is at `end`."""
    at = 0
    for name, entry in sums.items():
        member = Member(name, at + SECTOR, entry.size)
        yield member
        at = member.end
    if FILE_NAME in sums and at < end:  # its copy
        yield Member(FILE_NAME, at + SECTOR, sums[FILE_NAME].size)
