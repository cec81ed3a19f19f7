# SPDX-License-Identifier: MIT
"""Files with a guest's memory that no run.json knows: dumps, images, RAM files by their paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.lab.held import ask_holders
from ntbdbg.memory import formats
from ntbdbg.memory.layout import parse_segments
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment, SegmentMap

if TYPE_CHECKING:
    from ntbdbg.lab.options import LabOptions
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.file import CheckedFile

_STARTED = b"\x53\xff\x00\xf0"
"""A PC's memory begins with the interrupt table of its BIOS; nothing has to be looked up then."""


class Bare(NamedTuple):
    """Memory in such a file; `stale` and `is_assumed` are those of `Guest`."""

    memory: PhysicalMemory
    stale: str | None = None
    is_assumed: bool = False


def open_bare(
    name: str, path: str, file: CheckedFile, options: LabOptions, note: Callable[[str], None]
) -> Bare:
    """What is in the file at `path`, which is open already.

    :param name: what messages call the guest
    :param note: called with what the user should know
    :raises TargetError, FormatError: it cannot be read, or is not what a guest's memory looks like
    :raises UsageError: the options do not fit it
    """
    reader = None if options.maps_files else formats.sniff(path)
    if reader:
        image = formats.open_image(path, reader, name)
        for text in image.facts.notes:
            note(f"{path}: {text}")
        return Bare(image)
    if not options.maps_files:
        _refuse_foreign(path, file)
    held = ask_holders(path, file, options.maps_files, note)
    if held.flat:
        segments = SegmentMap([Segment(0, file.size, 0)])
    else:
        segments = _segments(path, file, options, note)
    memory = RamFile(path, segments, name=name, file=file)
    return Bare(memory, held.stale, not options.segments and not held.flat)


def _segments(
    path: str, file: CheckedFile, options: LabOptions, note: Callable[[str], None]
) -> SegmentMap:
    if options.segments:
        return parse_segments(options.segments)
    from ntbdbg.lab.baremap import bare_map

    return bare_map(path, file.identity.size, options.machine, file.read, note)


def _refuse_foreign(path: str, file: CheckedFile) -> None:
    """Raise FormatError if the file holds memory, but not as it is."""
    if file.size and file.read(0, min(4, file.size)) != _STARTED:
        formats.refuse_foreign(path)
