# SPDX-License-Identifier: MIT
"""Window addresses (``mw0+0x40``): from a guest, through the link, into its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.lab.place import Place
from ntbdbg.units import label

if TYPE_CHECKING:
    from ntbdbg.lab.address import Window
    from ntbdbg.lab.place import GuestLike


def reach_window(guest: GuestLike, window: Window, offset: int, size: int) -> Place:
    """Where `[offset, offset + size)` of `guest`'s window leads; the link is read anew.

    :raises NtbError: no such window, or it is closed
    :raises FaultError: beyond the window's limit, or no RAM there
    """
    from ntbdbg.ntb.reach import bar_window, contiguous, reach

    partition = guest.partition
    link = guest.lab.read_link()
    name = f"{guest.name}:{window}"
    via = label(name, offset)
    index = window.number
    if window.kind == "bar":
        found, offset = bar_window(
            link, partition, window.number, offset, name=f"{guest.name}: {window}"
        )
        index = found.index
    pieces = reach(link, partition, index, offset, size, name=name)
    peer = guest.lab.guest_of_partition(pieces[0].partition)
    room = contiguous(link.window(partition, index), offset)
    return Place(peer, pieces[0].gpa, peer.memory, via, room)
