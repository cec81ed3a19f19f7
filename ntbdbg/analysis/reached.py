# SPDX-License-Identifier: MIT
"""Windows seen from an address: those of other guests that lead here, and where its own lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, NtbdbgError, NtbError
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntbdbg.lab.place import GuestLike
    from ntbdbg.ntb.model import Link, MemoryWindow


class Inbound(NamedTuple):
    """A window of another guest, or a piece of one, that leads here.

    :ivar window: ``qemu2:mw0``
    :ivar range: guest-physical
    :ivar closed: why nothing arrives at present, empty if it is open
    :ivar offset: in the window, of the range's start
    """

    window: str
    range: AddressRange
    closed: str
    offset: int

    def offset_of(self, address: int) -> int:
        """Offset in the window of a guest-physical address in `range`."""
        return address - self.range.start + self.offset


class Outbound(NamedTuple):
    """A guest's own window at some address of its PCI space.

    :ivar window: ``qemu1:mw0``
    :ivar offset: in the window
    :ivar peer: guest that it leads to, None while it leads nowhere
    :ivar address: guest-physical, in the peer
    :ivar closed: why nothing gets there at present, empty if it does
    """

    window: str
    offset: int
    peer: str | None
    address: int | None
    closed: str


def inbound(guest: GuestLike) -> list[Inbound]:
    """Windows that lead into `guest`'s RAM, by address; none where there is no link.

    Never fails on account of the link: a note of the lab says what is wrong with it.
    """
    link = _link(guest)
    if link is None or guest.record is None:
        return []
    return sorted(_into(link, guest.record.index, _names(guest)), key=lambda item: item.range)


def outbound(guest: GuestLike, address: int) -> Outbound | None:
    """What a guest-physical address is that lies in one of `guest`'s windows; None if in none."""
    link = _link(guest)
    if link is None or guest.record is None:
        return None
    for window in link.windows_of(guest.record.index):
        if window.base is not None and 0 <= address - window.base < window.aperture:
            return _through(link, guest, window, address - window.base)
    return None


def _through(link: Link, guest: GuestLike, window: MemoryWindow, offset: int) -> Outbound:
    from ntbdbg.ntb.reach import reach

    name = f"{guest.name}:mw{window.index}"
    try:
        there = reach(link, window.partition, window.index, offset, 1, name=name)[0]
    except NtbError as error:
        return Outbound(name, offset, None, None, window.why_closed or error.message)
    except FaultError as error:
        return Outbound(name, offset, None, None, f"it {error.reason}")
    return Outbound(name, offset, _name(_names(guest), there.partition), there.gpa, "")


def _link(guest: GuestLike) -> Link | None:
    lab = guest.lab
    if guest.record is None or lab.link is None:
        return None
    try:
        return lab.read_link()
    except NtbdbgError as error:
        lab.note(f"windows are not shown: {error.message}")
        return None


def _names(guest: GuestLike) -> Mapping[int, str]:
    manifest = guest.lab.manifest
    return {record.index: record.name for record in manifest.guests} if manifest else {}


def _name(names: Mapping[int, str], partition: int) -> str:
    return names.get(partition, f"partition {partition}")


def _into(link: Link, partition: int, names: Mapping[int, str]) -> list[Inbound]:
    return [
        Inbound(
            f"{_name(names, window.partition)}:mw{window.index}",
            AddressRange(piece.gpa, piece.gpa + piece.size),
            window.why_closed,
            piece.offset,
        )
        for window in link.windows
        if window.translation is not None and window.translation.partition == partition
        for piece in window.reached
    ]
