# SPDX-License-Identifier: MIT
"""Which guest-physical addresses lie where in a RAM file.

Two sources that must agree: QEMU's rule for its x86 machines, and the map that a running QEMU
itself shows (`info mtree -f`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ntbdbg.lab.manifest import SegmentRecord

MIB = 1 << 20
GIB = 1 << 30

#: 0xa0000-0xbffff is the graphics card's, never RAM, though the file has bytes there. What lies
#: above, up to 1 MiB, is firmware's shadow: ROM to some, but backed by the same file.
VGA = (0xA0000, 0xC0000)

#: machine -> (RAM from this size on is split, size of the lower part then);
#: QEMU: hw/i386/pc_q35.c, pc_q35_init(); hw/i386/pc_piix.c, pc_init1()
_SPLITS = {"q35": (0xB0000000, 0x80000000), "pc": (0xE0000000, 0xC0000000)}

_FLAT_RANGE = re.compile(
    r"^\s+([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, \w+\): (\S+)(?: @([0-9a-f]{16}))?", re.M
)


def rule(machine: str, size: int) -> tuple[SegmentRecord, ...]:
    """Segments of `size` bytes of RAM of a `q35` or `pc` machine."""
    threshold, low = _SPLITS[machine]
    if size < threshold:
        low = size
    parts = _below(low)
    if size > low:
        parts.append(SegmentRecord(gpa=4 * GIB, size=size - low, offset=low))
    return tuple(parts)


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
    return (*_below(first.gpa + first.size), *high[1:])


def machine_kind(type_name: str) -> str | None:
    """``q35`` or ``pc`` from QEMU's name of a machine type, e.g. ``pc-q35-10.0-machine``."""
    if "q35" in type_name:
        return "q35"
    return "pc" if type_name.startswith(("pc-i440fx", "pc-machine")) else None


def _below(end: int) -> list[SegmentRecord]:
    """RAM from 0 to `end`, without the graphics card's part."""
    if end <= VGA[0]:
        return [SegmentRecord(gpa=0, size=end, offset=0)]
    parts = [SegmentRecord(gpa=0, size=VGA[0], offset=0)]
    if end > VGA[1]:
        parts.append(SegmentRecord(gpa=VGA[1], size=end - VGA[1], offset=VGA[1]))
    return parts


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
