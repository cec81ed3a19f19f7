# SPDX-License-Identifier: MIT
"""Which parts of a guest's memory the windows of other guests reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import NtbdbgError
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    from ntbdbg.ntb.model import Link
    from ntbdbg.target.guest import Guest


class Inbound(NamedTuple):
    """A window of another guest, or a piece of one, that leads here.

    :ivar window: ``qemu2:mw0``
    :ivar range: guest-physical
    :ivar closed: why nothing arrives at present, empty if it is open
    """

    window: str
    range: AddressRange
    closed: str


def inbound(guest: Guest) -> list[Inbound]:
    """Windows that lead into `guest`'s RAM, by address; none where there is no link.

    Never fails on account of the link: a note of the lab says what is wrong with it.
    """
    lab = guest.lab
    if guest.record is None or lab.link is None:
        return []
    try:
        link = lab.read_link()
    except NtbdbgError as error:
        lab.note(f"windows are not shown: {error.message}")
        return []
    names = {record.index: record.name for record in lab.manifest.guests} if lab.manifest else {}
    return sorted(_into(link, guest.record.index, names), key=lambda item: item.range)


def _into(link: Link, partition: int, names: dict[int, str]) -> list[Inbound]:
    return [
        Inbound(
            f"{names.get(window.partition, f'partition {window.partition}')}:mw{window.index}",
            AddressRange(piece.gpa, piece.gpa + piece.size),
            window.why_closed,
        )
        for window in link.windows
        if window.translation is not None and window.translation.partition == partition
        for piece in window.reached
    ]
