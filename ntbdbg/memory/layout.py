# SPDX-License-Identifier: MIT
"""Where QEMU's machines put their RAM, and the ``--segments`` syntax for any other place."""

from __future__ import annotations

from collections.abc import Iterable

from ntbdbg.arch.machines import MACHINES, Range, visible
from ntbdbg.errors import UsageError
from ntbdbg.memory.segments import Segment, SegmentMap
from ntbdbg.units import parse_number, parse_size

SEGMENTS_SYNTAX = "GPA:SIZE:OFFSET[,GPA:SIZE:OFFSET…], e.g. 0:2G:0,4G:1G:2G"


def qemu_segments(machine: str, size: int) -> SegmentMap:
    """The segments of a guest with `size` bytes of RAM in one file, what it cannot see left out.

    :param machine: as in QEMU's ``-machine``
    :raises UsageError: no rule is known for `machine`
    """
    if machine not in MACHINES:
        known = " or ".join(MACHINES)
        raise UsageError(
            f"no memory map is known for machine {machine!r}",
            hint=f"use --machine {known}, or describe it: --segments {SEGMENTS_SYNTAX}",
        )
    return segments_at(MACHINES[machine].ranges(size))


def segments_at(ranges: Iterable[Range]) -> SegmentMap:
    """The same as segments.

    :raises UsageError: they overlap or leave 64 bits
    """
    return SegmentMap([Segment(part.start, part.end - part.start, part.offset) for part in ranges])


def as_seen(segments: Iterable[Segment], machine: str) -> SegmentMap:
    """`segments` of a guest without what its machine hides, if that is known."""
    holes = MACHINES[machine].holes if machine in MACHINES else ()
    parts = (Range(part.start, part.end, part.offset) for part in segments)
    return segments_at(visible(parts, holes))


def parse_segments(text: str) -> SegmentMap:
    """The segments that ``--segments`` describes, exactly as written.

    :raises UsageError: bad syntax, or segments that overlap or leave 64 bits
    """
    return SegmentMap([_parse_segment(part) for part in text.split(",")])


def _parse_segment(text: str) -> Segment:
    parts = text.split(":")
    if len(parts) != 3:
        raise UsageError(f"segment {text!r} is not understood", hint=f"write {SEGMENTS_SYNTAX}")
    return Segment(
        parse_number(parts[0], what="segment address"),
        parse_size(parts[1], what="segment size"),
        parse_number(parts[2], what="segment offset"),
    )
