# SPDX-License-Identifier: MIT
"""Where the RAM of a file lies that no run.json knows.

Below `LEAST_SPLIT` all machines agree and nothing is looked up, so a small dump stays quick.
From there on the guest's own memory map decides: that which its boot loader left in low memory, for
which 640 KiB are read; else, unless the user says what it is, that of the kernel inside.
"""

from __future__ import annotations

from collections.abc import Callable

from ntbdbg.errors import FormatError
from ntbdbg.memory.layout import SEGMENTS_SYNTAX, SPLITS, qemu_segments
from ntbdbg.memory.number import PAGE, format_size
from ntbdbg.memory.segments import AddressRange, SegmentMap

DEFAULT_MACHINE = "q35"
LEAST_SPLIT = min(threshold for threshold, _ in SPLITS.values())


def bare_map(
    path: str,
    size: int,
    machine: str | None,
    read: Callable[[int, int], bytes],
    note: Callable[[str], None],
) -> SegmentMap:
    """The segments of `size` bytes of RAM in the file at `path`.

    :param machine: what the user says it is, None if nothing
    :param read: offset and size to bytes of the file
    :param note: called with what the user should know of the choice
    :raises FormatError: it is no RAM file
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
    told = _told_by_guest(size, read) if size >= LEAST_SPLIT else None
    if told is None and machine is None and size >= LEAST_SPLIT:
        from ntbdbg.target.kernelmap import told_by_kernel

        told = told_by_kernel(path, size)
    if told is None:
        if machine is None:
            note(
                f"{path}: no run.json knows it; taken for {format_size(size)} of RAM of a "
                f"{DEFAULT_MACHINE} machine (--machine pc or --segments say otherwise)"
            )
        return assumed
    if machine is None:
        note(f"{path}: no run.json knows it; its guest's own memory map says: {_words(told)}")
        return told
    if list(told) != list(assumed):
        note(
            f"{path}: taken for a {machine} machine, {_words(assumed)}; but its guest's own "
            f"memory map says: {_words(told)}"
        )
    return assumed


def _told_by_guest(size: int, read: Callable[[int, int], bytes]) -> SegmentMap | None:
    from ntbdbg.memory.e820 import LOW_MEMORY, find_low_map, segments_of

    entries = find_low_map(read(0, LOW_MEMORY))
    return segments_of(entries, size) if entries else None


def _words(segments: SegmentMap) -> str:
    """``2 GiB from 0x0, 1 GiB from 0x100000000``."""
    # The hole that is cut out below 1 MiB is everywhere, so not worth a word.
    runs = [AddressRange(0, run.end) if run.start < 1 << 20 else run for run in segments.runs()]
    largest = {run.start: run for run in runs}
    return ", ".join(f"{format_size(run.size)} from {run.start:#x}" for run in largest.values())
