# SPDX-License-Identifier: MIT
"""Where an address leads, step by step: page tables, RAM file, windows both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.analysis.reached import Inbound, Outbound, inbound, outbound
from ntbdbg.errors import FaultError
from ntbdbg.memory.ramfile import RamFile

if TYPE_CHECKING:
    from ntbdbg.kernel.mmu.paging import Walk
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.place import Address, Place


@dataclass(frozen=True)
class Translation:
    """All that is known of one address.

    :ivar guest: whose it is: the peer's behind a window
    :ivar via: the window it went through, or None
    :ivar symbol: ``init_task+0x10``, or None
    :ivar walk: through the kernel's page tables, None for a physical address
    :ivar address: guest-physical, None if the walk fails
    :ivar path: what holds the RAM, None if no RAM is there
    :ivar offset: in that file
    :ivar no_ram: why there is no RAM, as a clause; None if there is some
    :ivar windows: of other guests, that lead there
    :ivar outbound: what of the guest's own window it is, None if of none
    """

    guest: str
    via: str | None
    symbol: str | None
    walk: Walk | None
    address: int | None
    path: str | None = None
    offset: int | None = None
    no_ram: str | None = None
    windows: tuple[Inbound, ...] = ()
    outbound: Outbound | None = None

    def fault(self) -> FaultError | None:
        """Why the address leads nowhere, None if it leads somewhere.

        What is mapped is an answer, even if it is neither RAM nor a window: some device's.
        """
        if self.walk is not None:
            at, reason = self.walk.virtual, self.walk.reason
        else:
            at, reason = self.address or 0, None if self.outbound else self.no_ram
        return FaultError(self.guest, at, 1, reason) if reason else None


def translate(guest: Guest, address: Address) -> Translation:
    """Follow `address` as far as it leads; a walk that fails is an answer, too.

    :raises KernelError, NtbError, FaultError: as `Guest.resolve`
    """
    place = guest.resolve(address)
    if not place.is_virtual:
        return _of_physical(place, None, None, place.address)
    walk = place.guest.kernel.tables.walk(place.address)
    symbol = place.guest.kernel.symbolize(place.address)
    return _of_physical(place, walk, symbol, walk.address)


def _of_physical(
    place: Place, walk: Walk | None, symbol: str | None, address: int | None
) -> Translation:
    guest = place.guest
    if address is None:
        return Translation(guest.name, place.via, symbol, walk, None)
    memory = guest.memory
    segment = memory.segments.find(address)
    offset = memory.file_offset(address)
    path = memory.file.path if isinstance(memory, RamFile) else memory.name
    return Translation(
        guest=guest.name,
        via=place.via,
        symbol=symbol,
        walk=walk,
        address=address,
        path=None if offset is None else path,
        offset=offset,
        no_ram=None if segment else memory.segments.explain(address),
        windows=tuple(window for window in inbound(guest) if address in window.range),
        outbound=None if segment else outbound(guest, address),
    )
