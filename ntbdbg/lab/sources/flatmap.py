# SPDX-License-Identifier: MIT
"""The memory map that a running QEMU shows of its guest: the text of ``info mtree -f``.

Shared by the launcher and the toolkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ntbdbg.arch.machines import MACHINES, VGA_HOLE, Range, visible
from ntbdbg.lab.manifest import SegmentRecord

MIB = 1 << 20

_FLAT_RANGE = re.compile(
    r"^\s+([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, \w+\): (\S+)(?: @([0-9a-f]{16}))?", re.M
)


def from_mtree(text: str, backend: str) -> tuple[SegmentRecord, ...]:
    """Segments as a running QEMU shows them; empty where the text makes no sense.

    :param text: answer to ``info mtree -f``
    :param backend: identity of the RAM backend
    """
    high = [
        SegmentRecord(gpa=start, size=end - start, offset=offset)
        for start, end, offset in _merged(_ranges(_system_view(text), backend))
    ]
    if not high or high[0].gpa != MIB or high[0].offset != MIB:
        return ()
    first = high[0]
    # Below 1 MiB the map changes while firmware runs; what holds for all time is the rule.
    below = visible([Range(0, first.gpa + first.size, 0)], (VGA_HOLE,))
    return (*records_of(below), *high[1:])


def machine_kind(type_name: str) -> str | None:
    """``q35`` or ``pc`` from QEMU's name of a machine type, e.g. ``pc-q35-10.0-machine``."""
    known = MACHINES.values()
    return next((machine.name for machine in known if type_name.startswith(machine.types)), None)


def records_of(ranges: Iterable[Range]) -> tuple[SegmentRecord, ...]:
    """Ranges as run.json has them."""
    return tuple(
        SegmentRecord(gpa=part.start, size=part.end - part.start, offset=part.offset)
        for part in ranges
    )


def _system_view(text: str) -> str:
    """The flat view that the processors use: the one of address space "memory"."""
    for view in text.split("FlatView #")[1:]:
        if re.search(r'^\s+AS "memory", root: system\s*$', view, re.M):
            return view
    return ""


def _ranges(view: str, backend: str) -> list[tuple[int, int, int]]:
    """Sorted `(start, end, offset)` of the backend from 1 MiB on."""
    found = []
    for low, high, name, offset in _FLAT_RANGE.findall(view):
        start, end, at = int(low, 16), int(high, 16) + 1, int(offset or "0", 16)
        if name == backend and end > MIB:
            cut = max(0, MIB - start)
            found.append((start + cut, end, at + cut))
    return sorted(found)


def _merged(ranges: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join ranges that follow each other in both the guest and the file."""
    merged: list[tuple[int, int, int]] = []
    for start, end, offset in ranges:
        if merged and merged[-1][1] == start and merged[-1][2] + start - merged[-1][0] == offset:
            merged[-1] = (merged[-1][0], end, merged[-1][2])
        else:
            merged.append((start, end, offset))
    return merged
