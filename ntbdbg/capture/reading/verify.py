# SPDX-License-Identifier: MIT
"""What of a capture is not as it was written, and which part of which guest that is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ntbdbg.capture.reading.capture import Capture, folder_of
from ntbdbg.capture.reading.checksums import Damage
from ntbdbg.capture.reading.damages import damages
from ntbdbg.capture.reading.store import open_store
from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import CHECKSUM_FILE
from ntbdbg.lab.recorded import segments_of
from ntbdbg.memory.segments import AddressRange, SegmentMap


class Finding(NamedTuple):
    """A part of a capture that is damaged.

    :ivar guest: whose RAM it is, None for other files and where run.json is damaged too
    :ivar ranges: guest-physical, of what can be
    """

    damage: Damage
    guest: str | None
    ranges: tuple[AddressRange, ...]


def examine(path: str, progress: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """Everything in the capture at `path` that is damaged, in order of its files.

    :raises TargetError, FormatError: nothing is there, or nothing like a capture
    """
    with contextlib.closing(open_store(folder_of(path))) as store:
        guests = _guests(path)
        if store.problem:
            yield Finding(Damage("", 0, 0, store.problem), None, ())
        yield from (Finding(damage, None, ()) for damage in store.damaged_copies())
        try:
            for damage in _joined(damages(store, progress)):
                guest, segments = guests.get(damage.file, (None, SegmentMap([])))
                yield Finding(damage, guest, tuple(_addresses(segments, damage)))
        except NtbdbgError as error:
            yield Finding(Damage(CHECKSUM_FILE, 0, 0, error.message), None, ())


def _guests(path: str) -> dict[str, tuple[str | None, SegmentMap]]:
    """By RAM file, the guest and where it has it; nothing if run.json cannot tell."""
    try:
        with contextlib.closing(Capture(path)) as capture:
            records = capture.manifest.guests
            return {record.ram.path: (record.name, segments_of(record)) for record in records}
    except NtbdbgError:
        return {}


def _addresses(segments: SegmentMap, damage: Damage) -> Iterator[AddressRange]:
    """Where the guest has the bytes of a part of its RAM file."""
    for segment in segments:
        start = max(damage.start, segment.offset)
        end = min(damage.end, segment.offset + segment.size)
        if start < end:
            shift = segment.start - segment.offset
            yield AddressRange(start + shift, end + shift)


def _joined(parts: Iterator[Damage]) -> Iterator[Damage]:
    """Adjoining parts with the same thing wrong as one."""
    last: Damage | None = None
    for part in parts:
        if last and (part.file, part.start, part.reason) == (last.file, last.end, last.reason):
            last = last._replace(end=part.end)
            continue
        if last:
            yield last
        last = part
    if last:
        yield last
