# SPDX-License-Identifier: MIT
"""Window addresses (``mw0+0x40``): from a guest, through the link, into its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import NtbError
from ntbdbg.target.guest import Place

if TYPE_CHECKING:
    from ntbdbg.ntb.model import Link
    from ntbdbg.target.address import Window
    from ntbdbg.target.guest import Guest


def reach_window(guest: Guest, window: Window, offset: int, size: int) -> Place:
    """Where `[offset, offset + size)` of `guest`'s window leads; the link is read anew.

    :raises NtbError: no such window, or it is closed
    :raises FaultError: beyond the window's limit, or no RAM there
    """
    from ntbdbg.ntb.reach import reach

    partition = guest.partition
    link = guest.lab.read_link()
    index = window.number if window.kind == "mw" else _index_of_bar(link, guest, window)
    name = f"{guest.name}:{window}"
    pieces = reach(link, partition, index, offset, size, name=name)
    peer = guest.lab.guest_of_partition(pieces[0].partition)
    via = f"{name}+{offset:#x}" if offset else name
    return Place(peer, pieces[0].gpa, via)


def _index_of_bar(link: Link, guest: Guest, window: Window) -> int:
    mine = link.windows_of(guest.partition)
    for candidate in mine:
        if candidate.bar == window.number:
            return candidate.index
    known = ", ".join(sorted({f"bar{w.bar}" for w in mine})) or "none"
    raise NtbError(f"{guest.name}: {window} holds no memory window", hint=f"with one: {known}")
