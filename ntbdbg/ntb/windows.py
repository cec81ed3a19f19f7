# SPDX-License-Identifier: MIT
"""Where each memory window leads, and why a closed one is closed (§2.2-§2.4).

All of it follows from registers that the ports publish; the device's own `mw_open` bit is
carried along for comparison. Only where the switch mirrors windows (§2.7) does it help:
which translation was programmed last is in no register.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ntbdbg.ntb.barsetup import MAX_WINDOWS, BarSetup, window_bars
from ntbdbg.ntb.gates import owner_closed, peer_closed
from ntbdbg.ntb.model import (
    Closed,
    MemoryWindow,
    NtPort,
    PageHeader,
    Why,
    WindowType,
)
from ntbdbg.ntb.pieces import cut
from ntbdbg.ntb.programmed import Programmed, programmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNTRANSLATED = frozenset({Why.LIMIT_ZERO, Why.LUT_INVALID})
"""Reasons that say that nothing has been programmed."""


def derive(header: PageHeader, ports: Sequence[NtPort]) -> tuple[MemoryWindow, ...]:
    """Every window of every port, by partition and index.

    :param header: its `barsetup` says which windows exist, alike on every port
    """
    found: list[MemoryWindow] = []
    for port in ports:
        mine = list(_port_windows(header, ports, port))
        found += [_mirrored(w, mine) for w in mine] if header.mirror_mw else mine
    return tuple(found)


def _port_windows(
    header: PageHeader, ports: Sequence[NtPort], port: NtPort
) -> Iterator[MemoryWindow]:
    slots = [(setup, e) for setup in window_bars(header.barsetup) for e in range(setup.entries)]
    for index, (setup, entry) in enumerate(slots[:MAX_WINDOWS]):
        if setup.kind is WindowType.RESERVED:
            yield _reserved(port, setup, index)
        else:
            yield _window(ports, port, setup, entry, index)


def _window(
    ports: Sequence[NtPort], port: NtPort, setup: BarSetup, entry: int, index: int
) -> MemoryWindow:
    what = programmed(port, setup, entry, len(ports))
    peer = _peer(ports, port, what)
    pieces = cut(peer, what.translation.address, what.size) if peer else ()
    closed = [*what.closed, *owner_closed(port), *(peer_closed(peer) if peer else ())]
    if peer and peer.segments and what.size and all(piece.gap for piece in pieces):
        text = (
            f"{what.translation.address:#x} + {what.size:#x} reaches no RAM of port {peer.number}"
        )
        closed.append(Closed(Why.NO_RAM, text))
    return MemoryWindow(
        partition=port.partition,
        index=index,
        bar=setup.bar,
        kind=setup.kind,
        entry=entry,
        aperture=setup.aperture,
        base=what.base,
        size=what.size,
        translation=what.translation,
        pieces=pieces,
        closed=tuple(closed),
        device_open=_device_says(port, port.mw_open, index),
        device_trapped=_device_says(port, port.mw_trapped, index),
    )


def _reserved(port: NtPort, setup: BarSetup, index: int) -> MemoryWindow:
    text = f"its kind of translation is reserved (BARSETUP{setup.bar}.ATRAN=3)"
    return MemoryWindow(
        partition=port.partition,
        index=index,
        bar=setup.bar,
        kind=setup.kind,
        entry=0,
        aperture=setup.aperture,
        base=port.bar_addr[setup.bar],
        size=0,
        translation=None,
        pieces=(),
        closed=(Closed(Why.RESERVED, text),),
        device_open=_device_says(port, port.mw_open, index),
    )


def _mirrored(window: MemoryWindow, mine: Sequence[MemoryWindow]) -> MemoryWindow:
    """An untranslated window with the translation that the device lends it, if it does."""
    others = [w for w in mine if w.aperture == window.aperture and w.is_open]
    if not window.device_open or window.is_open or not others:
        return window
    mirrors = tuple(other.index for other in others)
    if len(others) > 1:  # which one was programmed last, only the device knows
        return replace(window, closed=(), translation=None, mirrors=mirrors)
    lender = others[0]
    return replace(
        window,
        closed=(),
        size=lender.size,
        translation=lender.translation,
        pieces=lender.pieces,
        mirrors=mirrors,
    )


def _device_says(port: NtPort, word: int, index: int) -> bool | None:
    return bool(word >> index & 1) if port.is_attached else None


def _peer(ports: Sequence[NtPort], port: NtPort, what: Programmed) -> NtPort | None:
    """The target, if one has been programmed."""
    target = what.translation.partition
    if any(reason.why in UNTRANSLATED for reason in what.closed):
        return None
    return ports[target] if target < len(ports) and target != port.partition else None
