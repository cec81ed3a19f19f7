# SPDX-License-Identifier: MIT
"""Guest memory that a file of a dump format holds, and what else such a file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, NoReturn, Protocol

from ntbdbg.errors import UsageError
from ntbdbg.memory.base import PhysicalMemory


class ImageFacts(NamedTuple):
    """What a dump tells besides memory.

    :ivar format: ``ELF core``, ``kdump``, ``LiME``
    :ivar vmcoreinfo: the text of its VMCOREINFO note
    :ivar vcpus: registers of each CPU by name, as far as the file has them
    :ivar notes: what a user should know: truncated, filtered, pages that read as zeros
    """

    format: str
    vmcoreinfo: bytes | None = None
    vcpus: tuple[Mapping[str, int], ...] = ()
    notes: tuple[str, ...] = ()


class ByteSource(Protocol):
    """The bytes of a dump: a file as it is, or taken apart and put in order."""

    path: str

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes."""

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Parts of `[start, end)` that may hold something other than zeros."""

    def present(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Parts of `[start, end)` that the file was not cut short of."""

    def check(self) -> None:
        """Raise TargetError if the file vanished, shrank or was replaced."""

    def close(self) -> None: ...


class ImageMemory(PhysicalMemory):
    """Memory in a dump: never live, never written.

    :ivar facts: what the file says besides
    """

    is_live = False
    facts: ImageFacts
    source: ByteSource

    def check_backing(self) -> None:
        self.source.check()

    def close(self) -> None:
        """Give the file back."""
        self.source.close()

    def write(self, address: int, data: bytes) -> NoReturn:
        self.check(address, len(data))
        raise UsageError(
            f"{self.name}: is a dump ({self.facts.format}), and dumps are not changed",
            hint="'ntbdbg export --format raw' makes a file that can be",
        )
