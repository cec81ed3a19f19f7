# SPDX-License-Identifier: MIT
"""A capture: a lab that was preserved at one moment, opened like one that runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ntbdbg.capture.reading.form import MAX_MANIFEST, PAGE_FILE, parse_manifest
from ntbdbg.capture.reading.store import is_packed, open_store
from ntbdbg.errors import FormatError, TargetError
from ntbdbg.lab.manifest import FILE_NAME
from ntbdbg.lab.recorded import segments_of
from ntbdbg.memory.segments import Segment

if TYPE_CHECKING:
    from ntbdbg.capture.reading.store import Store
    from ntbdbg.lab.manifest import CaptureRecord, GuestRecord, Manifest
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.ntb.sharedpage import PageBytes

DEAD = "dead"
"""The state of a guest whose QEMU had ended before the capture was taken."""

MAX_PAGE = 1 << 20
"""Bytes of the shared page that are kept; see `ntbdbg.ntb.decode.MAX_PAGE`."""


class Capture:
    """The capture at `path`: a folder, the run.json in it, or a packed file.

    :ivar path: of the folder or packed file
    :ivar manifest: its run.json; paths of RAM files are for people
    :ivar notes: what of it is not whole
    :raises TargetError: nothing is there, or it may not be read
    :raises FormatError: it is no capture, a newer one, or too damaged to tell what it holds
    """

    def __init__(self, path: str) -> None:
        self.path = folder_of(path)
        self.notes: list[str] = []
        self.store: Store = open_store(self.path)
        try:
            size = min(self.store.size(FILE_NAME) or 0, MAX_MANIFEST + 1)
            self.manifest: Manifest = parse_manifest(self.store.read(FILE_NAME, 0, size), self.path)
        except BaseException:
            self.store.close()
            raise
        if self.store.problem:
            self._note(self.store.problem)

    @property
    def record(self) -> CaptureRecord:
        """When and how it was taken."""
        assert self.manifest.capture is not None
        return self.manifest.capture

    def close(self) -> None:
        """Give all files back."""
        self.store.close()

    def memory(self, guest: GuestRecord, name: str | None = None) -> PhysicalMemory:
        """A guest's RAM, as far as it is there.

        :param name: what messages call it
        :raises TargetError: nothing of it is
        """
        ram = guest.ram
        present = self.store.size(ram.path) or 0
        segments = list(segments_of(guest))
        if present < ram.size:
            self._note(f"{ram.path} is not whole: {present:#x} of {ram.size:#x} bytes are there")
            segments = list(_cut(segments, present))
        return self.store.memory(ram.path, segments, name or guest.name)

    def page(self) -> PageBytes:
        """The shared page as it was.

        :raises TargetError, FormatError: it is missing or damaged
        """
        from ntbdbg.ntb.sharedpage import PageBytes

        size = self.store.size(PAGE_FILE)
        if size is None:
            raise TargetError(
                f"{self.path}: the capture has no shared page",
                hint="its switch was gone when it was taken; 'ntbdbg info' shows what is there",
            )
        data = self.store.read(PAGE_FILE, 0, min(size, MAX_PAGE))
        return PageBytes(self.store.where(PAGE_FILE), data, self._alive())

    def where(self, name: str) -> str:
        """The path of its file `name`, for people."""
        return self.store.where(name)

    def _alive(self) -> Mapping[int, bool]:
        """By partition, whether its owner lived."""
        return {guest.index: guest.state != DEAD for guest in self.manifest.guests}

    def _note(self, text: str) -> None:
        note = f"{self.path}: {text}; 'ntbdbg verify' tells more"
        if note not in self.notes:
            self.notes.append(note)


def folder_of(path: str) -> str:
    """Where a capture is of which `path` may be the run.json."""
    return (os.path.dirname(path) or ".") if os.path.basename(path) == FILE_NAME else path


def is_capture(path: str) -> bool:
    """Whether `path` is a packed capture, or a folder with a manifest that says it is one."""
    if not os.path.isdir(path):
        return is_packed(path)
    try:
        Capture(path).close()
    except (FormatError, TargetError):
        return False
    return True


def _cut(segments: list[Segment], size: int) -> list[Segment]:
    """What of the segments lies in the first `size` bytes of their file."""
    parts = (s._replace(size=min(s.size, size - s.offset)) for s in segments)
    return [part for part in parts if part.size > 0]
