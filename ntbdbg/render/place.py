# SPDX-License-Identifier: MIT
"""Where an address expression led, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.units import counted

if TYPE_CHECKING:
    from ntbdbg.lab.place import Place


def place_note(place: Place, size: int) -> str | None:
    """What the peer's or physical address of `size` bytes is; None if the user said it.

    :raises FaultError: a byte of a virtual place is not mapped
    """
    name = place.guest.name
    if place.via:
        return f"{place.via} reaches {name}:{place.address:#x}"
    if not place.is_virtual:
        return None
    (first, length), *more = place.guest.kernel.virtual.pieces(place.address, size)
    what = f"{place.symbol} is at {place.address:#x}" if place.symbol else f"{place.address:#x} is"
    others = counted(len(more), "other piece")
    and_on = f" ({length:#x} bytes, then {others})" if more else ""
    return f"{name}: {what}, guest-physical {first:#x}{and_on}"
