# SPDX-License-Identifier: MIT
"""What must hold at either end before a window opens (§2.4, conditions c to e)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.ntb.model import IDPROTDIS, Closed, NtPort, PortFlags, PortState, Why

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_THE_LINK = frozenset({Why.PEER_IOMMU, Why.PEER_RAM_PRIVATE, Why.PEER_RAM_TABLE})
"""They close windows into a peer, which no register of the owner tells; the link is up all the
same."""


def owner_closed(port: NtPort) -> Iterator[Closed]:
    """What at the window's own port keeps it closed."""
    if port.state is not PortState.ATTACHED:
        yield Closed(Why.OWNER_ABSENT, f"port {port.number} is not attached")
        return
    if port.alive is False:
        yield Closed(Why.OWNER_DEAD, f"QEMU of port {port.number} (pid {port.pid}) is gone")
    if PortFlags.UNPLUGGED in port.flags:
        yield Closed(Why.OWNER_UNPLUGGED, "its own port's cable is out (flag UNPLUGGED)")
    elif not port.linkup:
        yield Closed(Why.OWNER_LINKUP, "its own port is off the link or in reset (LINKUP=0)")
    if not port.bus_master:
        yield Closed(Why.OWNER_BME, "its own guest has not enabled bus mastering (PCICMD.BME=0)")
    if not port.link_enabled:
        yield Closed(Why.OWNER_CPEN, "its own guest has not enabled the link (NTCTL.CPEN=0)")
    if not port.mapping_valid and not port.ntctl & IDPROTDIS:
        text = "its own mapping-table entry is not valid (NTMTBLDATA.VALID=0)"
        yield Closed(Why.OWNER_MTBL, text)


def peer_closed(peer: NtPort) -> Iterator[Closed]:
    """What at the target port keeps it closed."""
    if peer.state is not PortState.ATTACHED:
        yield Closed(Why.PEER_ABSENT, f"peer (port {peer.number}) is not attached")
        return
    if peer.alive is False:
        text = f"peer's QEMU (port {peer.number}, pid {peer.pid}) is gone"
        yield Closed(Why.PEER_DEAD, text)
    if PortFlags.UNPLUGGED in peer.flags:
        yield Closed(Why.PEER_UNPLUGGED, "peer's cable is out (flag UNPLUGGED)")
    elif not peer.linkup:
        yield Closed(Why.PEER_LINKUP, "peer is off the link or in reset (SWPORTSTS.LINKUP=0)")
    if not peer.bus_master:
        yield Closed(Why.PEER_BME, "peer has not enabled bus mastering (PCICMD.BME=0)")
    if not peer.link_enabled:
        yield Closed(Why.PEER_CPEN, "peer has not enabled the link (NTCTL.CPEN=0)")
    if not peer.mapping_valid:
        text = "peer's mapping-table entry is not valid (NTMTBLDATA.VALID=0)"
        yield Closed(Why.PEER_MTBL, text)
    yield from _ram_closed(peer)


def _ram_closed(peer: NtPort) -> Iterator[Closed]:
    if PortFlags.IOMMU in peer.flags:
        text = "peer has an IOMMU, its DMA addresses are not physical ones (flag IOMMU)"
        yield Closed(Why.PEER_IOMMU, text)
    if PortFlags.RAM_SHARED not in peer.flags:
        text = "peer's RAM is not in a shared file (flag RAM_SHARED=0)"
        yield Closed(Why.PEER_RAM_PRIVATE, text)
    elif not peer.segments:
        yield Closed(Why.PEER_RAM_TABLE, f"peer: {peer.segments_problem}")
