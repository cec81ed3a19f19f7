# SPDX-License-Identifier: MIT
"""Where the RAM of a file lies that no run.json knows.

The guest's own memory map decides, whatever the size: that which its boot loader left in low
memory, for which 640 KiB are read; from `LEAST_SPLIT` on, unless the user says what it is, also
that of the kernel inside, which takes a second to be found. Below, machines hardly differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.arch.machines import PC, Q35, VGA_HOLE
from ntbdbg.arch.signs import ZERO_PAGE, foreign_heads, has_vectors
from ntbdbg.errors import FormatError
from ntbdbg.memory.layout import SEGMENTS_SYNTAX, qemu_segments, segments_at
from ntbdbg.memory.segments import AddressRange, SegmentMap
from ntbdbg.units import PAGE, format_size

if TYPE_CHECKING:
    from ntbdbg.arch.foreign import Foreign

DEFAULT_MACHINE = "q35"
LEAST_SPLIT = min(machine.split for machine in (Q35, PC) if machine.split)

Read = Callable[[int, int], bytes]
Note = Callable[[str], None]


def bare_map(path: str, size: int, machine: str | None, read: Read, note: Note) -> SegmentMap:
    """The segments of `size` bytes of RAM in the file at `path`.

    :param machine: what the user says it is, None if nothing
    :param read: offset and size to bytes of the file
    :param note: called with what the user should know of the choice
    :raises FormatError: it is no RAM file, or that of another architecture
    :raises UsageError: no such machine
    """
    if size == 0 or size % PAGE:
        raise FormatError(
            path,
            None,
            f"is no RAM file: RAM comes in whole pages of 4 KiB, this is {size} bytes",
            hint=f"to read it all the same, say where it lies: --segments {SEGMENTS_SYNTAX}",
        )
    assumed = qemu_segments(machine or DEFAULT_MACHINE, size)
    low = read(0, min(size, VGA_HOLE[0]))
    is_told, told = _told_by_loader(path, low, size, note)
    is_first = is_told or has_vectors(low)
    foreign = None if is_first else _foreign(read, size)
    if machine is not None:
        if foreign is not None:
            note(
                f"{path}: taken for a {machine} machine; but it is memory of another architecture, "
                f"{foreign.architecture} ({foreign.sign})"
            )
        if told is not None and list(told) != list(assumed):
            note(
                f"{path}: taken for a {machine} machine, {_words(assumed)}; but its guest's own "
                f"memory map says: {_words(told)}"
            )
        return assumed
    if foreign is not None:
        from ntbdbg.arch.foreign import refusal

        raise refusal(path, foreign, size)
    if told is None and not is_told and size >= LEAST_SPLIT:
        from ntbdbg.lab.kernelmap import told_by_kernel

        told = told_by_kernel(path, size)
    if told is None:
        note(
            f"{path}: no run.json knows it; taken for {format_size(size)} of RAM of a "
            f"{DEFAULT_MACHINE} machine (--machine pc or --segments say otherwise)"
            + ("" if is_first else _NOT_TOLD)
        )
        return assumed
    note(f"{path}: no run.json knows it; its guest's own memory map says: {_words(told)}")
    return told


def map_of_loader(path: str, size: int, read: Read, note: Note) -> SegmentMap | None:
    """Where `size` bytes of RAM lie by the map that the guest's boot loader left in them; None
    without one. Parameters as of `bare_map`."""
    return _told_by_loader(path, read(0, min(size, VGA_HOLE[0])), size, note)[1]


_NOT_TOLD = (
    "; nothing in it tells that it begins at guest-physical address 0: where a further NUMA node's "
    "RAM lies, only --segments can say"
)


def _foreign(read: Read, size: int) -> Foreign | None:
    """What a file is that does not begin as a PC's RAM does, if it is of another architecture."""
    if next(foreign_heads(read, size), None) is None:
        return None
    from ntbdbg.arch.foreign import of_ram

    return of_ram(read, size)


def _told_by_loader(path: str, low: bytes, size: int, note: Note) -> tuple[bool, SegmentMap | None]:
    """Whether there is a map in low memory, and where `size` bytes lie by it, if it fits them."""
    if ZERO_PAGE not in low:
        return False, None
    from ntbdbg.arch.x86.e820 import find_low_map, first_part, ranges_of

    entries = find_low_map(low)
    if entries is None:
        return False, None
    told = ranges_of(entries, size)
    if told is None:
        told, beyond = first_part(entries, size)
        if told is not None:
            note(
                f"{path}: its guest has {format_size(beyond)} of RAM more, which lie in another "
                "file (another NUMA node's?): what is there is not shown"
            )
    return True, None if told is None else segments_at(told)


def _words(segments: SegmentMap) -> str:
    """``2 GiB from 0x0, 1 GiB from 0x100000000``."""
    # The hole that is cut out below 1 MiB is everywhere, so not worth a word.
    runs = [AddressRange(0, run.end) if run.start < 1 << 20 else run for run in segments.runs()]
    largest = {run.start: run for run in runs}
    return ", ".join(f"{format_size(run.size)} from {run.start:#x}" for run in largest.values())
