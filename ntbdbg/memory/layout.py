# SPDX-License-Identifier: MIT
"""Where QEMU's x86 machines put their RAM, and the ``--segments`` syntax for any other place.

The rules are QEMU's own (``hw/i386/pc_q35.c`` and ``pc_piix.c``, ``pc_*_init``): RAM that
does not fit below the PCI hole continues at 4 GiB, and goes on in the file where the low
part ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from ntbdbg.errors import UsageError
from ntbdbg.memory.base import VGA_HOLE, Segment, SegmentMap
from ntbdbg.units import parse_number, parse_size

ABOVE_4G = 1 << 32

#: machine → (RAM size from which it is split, bytes that stay low then)
SPLITS = {
    "q35": (0xB000_0000, 0x8000_0000),
    "pc": (0xE000_0000, 0xC000_0000),
}

SEGMENTS_SYNTAX = "GPA:SIZE:OFFSET[,GPA:SIZE:OFFSET…], e.g. 0:2G:0,4G:1G:2G"


def qemu_segments(machine: str, size: int) -> SegmentMap:
    """The segments of a guest with `size` bytes of RAM in one file, VGA hole left out.

    :param machine: ``q35`` or ``pc``, as in QEMU's ``-machine``
    :raises UsageError: no rule is known for `machine`
    """
    if machine not in SPLITS:
        known = " or ".join(SPLITS)
        raise UsageError(
            f"no memory map is known for machine {machine!r}",
            hint=f"use --machine {known}, or describe it: --segments {SEGMENTS_SYNTAX}",
        )
    threshold, low = SPLITS[machine]
    if size < threshold:
        whole = [Segment(0, size, 0)]
    else:
        whole = [Segment(0, low, 0), Segment(ABOVE_4G, size - low, low)]
    return without_vga(whole)


def without_vga(segments: Iterable[Segment]) -> SegmentMap:
    """`segments` with 0xa0000-0xbffff cut out: the file has bytes there the guest cannot see."""
    kept: list[Segment] = []
    for start, size, offset in segments:
        low = min(start + size, VGA_HOLE.start) - start
        if low > 0:
            kept.append(Segment(start, low, offset))
        above = max(start, VGA_HOLE.end)
        if above < start + size:
            kept.append(Segment(above, start + size - above, offset + above - start))
    return SegmentMap(kept)


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
