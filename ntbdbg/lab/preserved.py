# SPDX-License-Identifier: MIT
"""What a lab knows of captures. How they are read is another room's; it is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ntbdbg.lab.manifest import CaptureRecord, GuestRecord, Manifest
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.ntb.sharedpage import PageBytes


class Preserved(Protocol):
    """A lab that was preserved at one moment.

    :ivar path: of its folder or file
    :ivar manifest: its run.json
    :ivar notes: what of it is not whole
    """

    path: str
    manifest: Manifest
    notes: list[str]

    @property
    def record(self) -> CaptureRecord:
        """When and how it was taken."""
        ...

    def memory(self, guest: GuestRecord, name: str | None = None) -> PhysicalMemory:
        """A guest's RAM; TargetError if nothing of it is there."""
        ...

    def page(self) -> PageBytes:
        """The shared page as it was; TargetError or FormatError if it is missing or damaged."""
        ...

    def where(self, name: str) -> str:
        """The path of its file `name`, for people."""
        ...

    def close(self) -> None:
        """Give all files back."""
        ...


class Captures(Protocol):
    """How captures are told from other files, and opened."""

    def open(self, path: str) -> Preserved:
        """The capture at `path`; TargetError or FormatError if it is none."""
        ...

    def is_capture(self, path: str) -> bool:
        """Whether `path` is one, packed or a folder."""
        ...

    def is_packed(self, path: str) -> bool:
        """Whether the file at `path` begins or ends like one."""
        ...
