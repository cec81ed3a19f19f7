# SPDX-License-Identifier: MIT
"""How often something is in memory, without a look at each occurrence.

A zero is in a guest's RAM two hundred million times; numpy counts them a chunk at a time, and
those in memory that was never touched are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError
from ntbdbg.inspect.search import CHUNK, Progress, runs_to_search, search, touched
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    import numpy as np

    from ntbdbg.inspect.value import Pattern
    from ntbdbg.memory.base import PhysicalMemory

LONGEST = 16
"""Bytes of a literal that is counted so; one look at all memory for each of them. Longer ones are
rare, so that finding them is as fast."""


def count(
    memory: PhysicalMemory,
    pattern: Pattern,
    *,
    within: AddressRange | None = None,
    align: int = 1,
    progress: Progress | None = None,
) -> int:
    """How many matches `search` would give; arguments and errors are its own."""
    needle = pattern.literal
    if needle is None or len(needle) > LONGEST:
        matches = search(memory, pattern, within=within, align=align, progress=progress)
        return sum(1 for _ in matches)
    import numpy as np

    reach = len(needle) - 1
    runs = runs_to_search(memory, within, align)
    regions = [region.whole for region in touched(memory, runs, reach)]
    total = sum(region.size for region in regions)
    buffer = np.empty(CHUNK + reach, np.uint8)
    done = 0
    found = 0 if any(needle) else _untouched(runs, regions, reach, align)
    for region in regions:
        for address in range(region.start, region.end, CHUNK):
            part = AddressRange(address, min(address + len(buffer), region.end))
            for at, data in _filled(memory, part, buffer):
                found += _count(data, needle, -at % align, align)
            done += min(CHUNK, region.end - address)
            if progress is not None:
                progress(done, total)
    return found


def _filled(
    memory: PhysicalMemory, part: AddressRange, buffer: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Address and bytes of what can be read of `part`, which fits into `buffer`."""
    import numpy as np

    data = buffer[: part.size]
    try:
        memory.readinto(part.start, data.data)
        yield part.start, data
    except FaultError:
        for at, raw in memory.read_sound(part):
            yield at, np.frombuffer(raw, np.uint8)


def _untouched(
    runs: list[AddressRange], regions: list[AddressRange], reach: int, align: int
) -> int:
    """Addresses in `runs` from which only untouched zeros follow, as many as a match needs."""

    def places(ranges: list[AddressRange]) -> int:
        rooms = (r.end - reach - (r.start + -r.start % align) for r in ranges)
        return sum(max(0, -(-room // align)) for room in rooms)

    return places(runs) - places(regions)


def _count(data: np.ndarray, needle: bytes, first: int, align: int) -> int:
    """Occurrences in `data`, ``(n,) uint8``, at `first` and each `align` bytes from there."""
    end = len(data) - len(needle) + 1
    here = data[first : max(end, 0) : align] == needle[0]
    for at, byte in enumerate(needle[1:], 1):
        if not here.any():
            return 0
        here &= data[first + at : max(end, 0) + at : align] == byte
    return int(here.sum())
