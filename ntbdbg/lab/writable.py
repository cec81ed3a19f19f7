# SPDX-License-Identifier: MIT
"""Where in a RAM file a place's bytes lie, so that a patch of it can be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import RefusedError, TargetError
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment

if TYPE_CHECKING:
    from ntbdbg.lab.place import Place


def in_ram_file(place: Place, size: int) -> RamFile:
    """The RAM file that holds `[place.address, place.address + size)`, by the same addresses.

    Behind a VA these bytes stay where they are now, whatever the guest maps there later: a
    journal must know what it has to put back.

    :raises TargetError: the guest's memory is in no file that could be written to
    :raises RefusedError: what is written there does not reach the guest
    :raises FaultError: part of it is not RAM
    """
    ram = place.guest.memory
    if not isinstance(ram, RamFile):
        raise TargetError(f"{ram.name} is no RAM file, so it cannot be patched")
    if place.guest.stale:
        raise RefusedError(
            f"{place.guest.stale}: a patch would not reach it; nothing was changed",
            hint="start the guest with share=on",
        )
    if not place.is_virtual:
        return ram
    return RamFile(
        ram.file.path,
        _file_segments(place, ram, size),
        name=ram.name,
        is_live=ram.is_live,
        file=ram.file,
    )


def _file_segments(place: Place, ram: RamFile, size: int) -> list[Segment]:
    found = []
    at = place.address
    for address, length in place.guest.kernel.virtual.pieces(place.address, size):
        for segment, start, part in ram.segments.pieces(address, length):
            found.append(Segment(at, part, start - segment.start + segment.offset))
            at += part
    return found
