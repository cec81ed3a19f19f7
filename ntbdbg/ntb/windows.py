# SPDX-License-Identifier: MIT
"""Where each memory window leads, and why a closed one is closed (§2.2-§2.4).

All of it follows from registers that the ports publish; the device's own `mw_open` bit is
carried along for comparison, never used as input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.memory.base import Segment, SegmentMap
from ntbdbg.ntb.barsetup import MAX_WINDOWS, BarSetup, window_bars
from ntbdbg.ntb.gates import owner_closed, peer_closed
from ntbdbg.ntb.model import (
    Closed,
    MemoryWindow,
    NtPort,
    PageHeader,
    Piece,
    Translation,
    Why,
    WindowType,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = 4096
"""Bytes; the device maps whole host pages of the peer's RAM, x86 hosts have this size."""

LIMIT_UNIT = 1024
"""Bytes; granularity of BARLIMIT in hardware (ntb_hw_idt.h, IDT_DIR_SIZE_ALIGN's comment)."""


def derive(header: PageHeader, ports: Sequence[NtPort]) -> tuple[MemoryWindow, ...]:
    """Every window of every port, by partition and index.

    :param header: its `barsetup` says which windows exist, alike on every port
    """
    return tuple(window for port in ports for window in _port_windows(header, ports, port))


def _port_windows(
    header: PageHeader, ports: Sequence[NtPort], port: NtPort
) -> Iterator[MemoryWindow]:
    index = 0
    for setup in window_bars(header.barsetup):
        for entry in range(setup.entries):
            if index == MAX_WINDOWS:
                return
            if setup.kind is WindowType.DIRECT:
                yield _direct(ports, port, setup, index)
            else:
                yield _undecoded(port, setup, index, entry)
            index += 1


def _undecoded(port: NtPort, setup: BarSetup, index: int, entry: int) -> MemoryWindow:
    base = port.bar_addr[setup.bar]
    reason = Closed(Why.LUT, f"{setup.kind.value} translations are not decoded")
    return MemoryWindow(
        partition=port.partition,
        index=index,
        bar=setup.bar,
        kind=setup.kind,
        entry=entry,
        aperture=setup.aperture,
        base=None if base is None else base + entry * setup.aperture,
        size=0,
        translation=None,
        pieces=(),
        closed=(reason,),
        device_open=_device_open(port, index),
    )


def _direct(ports: Sequence[NtPort], port: NtPort, setup: BarSetup, index: int) -> MemoryWindow:
    translation = _translation(port, setup)
    base = port.bar_addr[setup.bar]
    size = _size(base, translation.limit, setup.aperture)
    peer = _peer(ports, port, translation)
    pieces = _pieces(peer, translation.address, size) if peer else ()
    closed = [
        *_limit_closed(setup, base, translation.limit, size),
        *_translation_closed(port, len(ports), translation),
        *owner_closed(port),
        *(peer_closed(peer) if peer else ()),
    ]
    reaches_ram = any(piece.gap is None for piece in pieces)
    may_reach = size >= PAGE and translation.address % PAGE == 0
    if peer and peer.segments and may_reach and not reaches_ram:
        text = f"{translation.address:#x} + {size:#x} reaches no RAM of port {peer.number}"
        closed.append(Closed(Why.NO_RAM, text))
    return MemoryWindow(
        partition=port.partition,
        index=index,
        bar=setup.bar,
        kind=setup.kind,
        entry=0,
        aperture=setup.aperture,
        base=base,
        size=size,
        translation=translation,
        pieces=pieces,
        closed=tuple(closed),
        device_open=_device_open(port, index),
    )


def _device_open(port: NtPort, index: int) -> bool | None:
    return bool(port.mw_open >> index & 1) if port.is_attached else None


def _peer(ports: Sequence[NtPort], port: NtPort, translation: Translation) -> NtPort | None:
    target = translation.partition
    return ports[target] if target < len(ports) and target != port.partition else None


def _translation(port: NtPort, setup: BarSetup) -> Translation:
    """The four registers of a direct BAR; a 64-bit one has its limit's high half next door."""
    at = 0x470 + 16 * setup.bar
    limit = port.register(at + 4)
    if setup.is_64bit and setup.bar + 1 < len(port.bar_addr):
        limit |= port.register(at + 16 + 4) << 32
    return Translation(
        partition=BarSetup(setup.bar, port.register(at)).target_partition,
        address=port.register(at + 8) & ~3 | port.register(at + 12) << 32,
        limit=limit,
    )


def _size(base: int | None, limit: int, aperture: int) -> int:
    """Bytes between BAR and limit (§2.3), clamped to the aperture."""
    if base is None or limit == 0:
        return 0
    end = -(-limit // LIMIT_UNIT) * LIMIT_UNIT
    return max(0, min(end - base, aperture))


def _limit_closed(setup: BarSetup, base: int | None, limit: int, size: int) -> Iterator[Closed]:
    if base is None:
        text = f"its own guest has not mapped BAR{setup.bar}"
        yield Closed(Why.BAR_UNMAPPED, text)
    if limit == 0:
        yield Closed(Why.LIMIT_ZERO, f"limit 0 (BARLIMIT{setup.bar}: no translation is set)")
    elif base is not None and limit <= base:
        text = f"limit {limit:#x} is not above BAR{setup.bar} at {base:#x}"
        yield Closed(Why.LIMIT_LOW, text)
    elif base is not None and size < PAGE:
        text = f"limit {limit:#x} leaves less than one page of BAR{setup.bar} at {base:#x}"
        yield Closed(Why.LIMIT_PAGE, text)


def _translation_closed(port: NtPort, nports: int, translation: Translation) -> Iterator[Closed]:
    if translation.address % PAGE:
        text = f"translation {translation.address:#x} is not page aligned"
        yield Closed(Why.UNALIGNED, text)
    if translation.partition == port.partition:
        text = f"target partition {translation.partition} is its own (BARSETUP.TPART)"
        yield Closed(Why.OWN_PARTITION, text)
    elif translation.partition >= nports:
        text = f"target partition {translation.partition} is not configured (BARSETUP.TPART)"
        yield Closed(Why.NO_PARTITION, text)


def _pieces(peer: NtPort, address: int, size: int) -> tuple[Piece, ...]:
    """Cut `[address, address + size)` into the peer's RAM and what is between."""
    ram = SegmentMap(peer.segments)
    end = address + size
    pieces: list[Piece] = []
    here = address
    while here < end:
        segment = ram.find(here)
        if segment is not None:
            until = min(end, segment.end)
            pieces += _mapped(segment, address, here, until)
        else:
            until = min([end, *(s.start for s in ram if s.start > here)])
            pieces.append(Piece(here - address, until - here, here, _gap(ram, here)))
        here = until
    return tuple(pieces)


def _mapped(segment: Segment, address: int, start: int, end: int) -> Iterator[Piece]:
    """`[start, end)` of one segment; the device maps whole pages of the RAM file only."""
    file_offset = start - segment.start + segment.offset
    aligned = (start - address) % PAGE == 0 and file_offset % PAGE == 0
    size = (end - start) // PAGE * PAGE if aligned else 0
    if size:
        yield Piece(start - address, size, start)
    if start + size < end:
        rest = start + size
        yield Piece(rest - address, end - rest, rest, "is not a whole page, so it stays unmapped")


def _gap(ram: SegmentMap, address: int) -> str:
    if len(ram) and address < ram[0].start:
        return f"is below the RAM that the peer publishes, from {ram[0].start:#x} on"
    return ram.explain(address)
