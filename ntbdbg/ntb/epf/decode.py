# SPDX-License-Identifier: MIT
"""What the page says of ports of NTB endpoint functions, as the same objects as of IDT ports.

A window leads where the *peer* says (CONFIGURE_MW). Both sides must have commanded LINK_UP.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ntbdbg.ntb import page
from ntbdbg.ntb.epf.area import BAD_ALIGN, BAD_SIZE, BAD_WRAP, MW_REFUSED, MW_SET, layout
from ntbdbg.ntb.gates import owner_closed, peer_closed
from ntbdbg.ntb.model import (
    CPEN,
    MTBL_VALID,
    Closed,
    MemoryWindow,
    NtPort,
    PageHeader,
    Translation,
    Why,
    WindowType,
)
from ntbdbg.ntb.pieces import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOWS = 2
FIRST_BAR = 4
REASONS = {
    BAD_SIZE: "its size is none, or more than the window's",
    BAD_ALIGN: "its address is not on a page",
    BAD_WRAP: "its end is beyond the last address",
}
TEXTS = {
    Why.OWNER_CPEN: "its own guest has not commanded LINK_UP",
    Why.PEER_CPEN: "peer has not commanded LINK_UP",
}
NOT_HERE = {Why.OWNER_MTBL, Why.PEER_MTBL}


def area_of(data: bytes, header: PageHeader, part: int) -> Any:
    """The device area of one block, as `construct` gives it."""
    struct = layout(header.endian).area
    start = header.port_off + part * header.port_stride + page.DEVICE_OFF
    return struct.parse(data[start : start + struct.sizeof()])


def as_registers(area: Any) -> dict[str, int]:
    """LINK_UP in the words that an IDT port has for it."""
    enabled = bool(area.link_enabled & 1)
    return {"ntctl": CPEN * enabled, "mtbl": MTBL_VALID * enabled}


def windows(data: bytes, header: PageHeader, ports: Sequence[NtPort]) -> tuple[MemoryWindow, ...]:
    """Every window of every port, by partition and index."""
    if len(ports) != 2:
        return ()
    return tuple(
        _window(header, port, ports[1 - port.partition], area_of(data, header, peer), index)
        for port in ports
        for peer in (1 - port.partition,)
        for index in range(WINDOWS)
    )


def _window(header: PageHeader, port: NtPort, peer: NtPort, area: Any, index: int) -> MemoryWindow:
    mw, bar = area.mw[index], FIRST_BAR + index
    aperture = 1 << (header.barsetup[bar] & 31)
    is_set = mw.state == MW_SET and peer.is_attached
    size = min(mw.size, aperture, (1 << 64) - mw.addr) if is_set else 0
    pieces = cut(peer, mw.addr, size) if size else ()
    closed = [*_untranslated(peer, mw), *map(_in_its_words, _gates(port, peer))]
    if size and peer.segments and all(piece.gap for piece in pieces):
        text = f"{mw.addr:#x} + {size:#x} reaches no RAM of port {peer.number}"
        closed.append(Closed(Why.NO_RAM, text))
    attached = port.is_attached
    return MemoryWindow(
        partition=port.partition,
        index=index,
        bar=bar,
        kind=WindowType.DIRECT,
        entry=0,
        aperture=aperture,
        base=port.bar_addr[bar],
        size=size,
        translation=Translation(peer.partition, mw.addr if is_set else 0, None),
        pieces=pieces,
        closed=tuple(closed),
        device_open=bool(port.mw_open >> index & 1) if attached else None,
        device_trapped=bool(port.mw_trapped >> index & 1) if attached else None,
    )


def _untranslated(peer: NtPort, mw: Any) -> Iterator[Closed]:
    if not peer.is_attached or mw.state == MW_SET:
        return
    if mw.state == MW_REFUSED:
        why = REASONS.get(mw.reason, f"for reason {mw.reason}")
        text = f"peer's translation ({mw.addr:#x} + {mw.size:#x}) was refused: {why}"
        yield Closed(Why.PEER_REFUSED, text)
    else:
        yield Closed(Why.PEER_UNSET, "peer has set no translation (CONFIGURE_MW)")


def _gates(port: NtPort, peer: NtPort) -> Iterator[Closed]:
    for reason in (*owner_closed(port), *peer_closed(peer)):
        if reason.why not in NOT_HERE:
            yield reason


def _in_its_words(reason: Closed) -> Closed:
    return replace(reason, text=TEXTS.get(reason.why, reason.text))
