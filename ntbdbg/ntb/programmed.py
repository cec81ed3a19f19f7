# SPDX-License-Identifier: MIT
"""What a driver programmed for a window: four registers of a direct BAR, or a LUT entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.ntb.barsetup import BarSetup
from ntbdbg.ntb.model import Closed, Translation, Why

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.ntb.model import NtPort

LIMIT_UNIT = 1024
"""Bytes; granularity of BARLIMIT in hardware (ntb_hw_idt.h, IDT_DIR_SIZE_ALIGN's comment)."""

LUT_OF_BAR = {2: 0, 4: 1}
"""Which table of the port's block belongs to a BAR."""


@dataclass(frozen=True)
class Programmed:
    """The owner's side of a window.

    :ivar base: where its guest sees it, None while the BAR is not mapped
    :ivar size: bytes in use, 0..aperture
    :ivar closed: reasons that lie in these registers alone
    """

    base: int | None
    size: int
    translation: Translation
    closed: tuple[Closed, ...]


def programmed(port: NtPort, setup: BarSetup, entry: int, nports: int) -> Programmed:
    """The window of `entry` in the BAR of `setup`."""
    if setup.uses_lut and setup.bar in LUT_OF_BAR:
        return _lut(port, setup, entry, nports)
    return _direct(port, setup, nports)


def _direct(port: NtPort, setup: BarSetup, nports: int) -> Programmed:
    at = 0x470 + 16 * setup.bar
    limit = port.register(at + 4)
    if setup.is_64bit and setup.bar + 1 < len(port.bar_addr):
        limit |= port.register(at + 16 + 4) << 32
    translation = Translation(
        partition=BarSetup(setup.bar, port.register(at)).target_partition,
        address=port.register(at + 8) & ~3 | port.register(at + 12) << 32,
        limit=limit,
    )
    base = port.bar_addr[setup.bar]
    if limit == 0:
        zero = Closed(Why.LIMIT_ZERO, f"limit 0 (BARLIMIT{setup.bar}: no translation is set)")
        return Programmed(base, 0, translation, (*_unmapped(setup, base), zero))
    closed = (
        *_unmapped(setup, base),
        *_limit_closed(setup, base, limit),
        *_target_closed(port, nports, translation.partition, "BARSETUP.TPART"),
    )
    return Programmed(base, _extent(base, limit, setup.aperture), translation, closed)


def _lut(port: NtPort, setup: BarSetup, entry: int, nports: int) -> Programmed:
    found = port.lut[LUT_OF_BAR[setup.bar]][entry]
    bar = port.bar_addr[setup.bar]
    base = None if bar is None else bar + entry * setup.aperture
    translation = Translation(found.partition, found.address, None)
    if not found.is_valid:
        invalid = Closed(Why.LUT_INVALID, "its lookup-table entry is not valid (LUTUDATA.VALID=0)")
        return Programmed(base, 0, translation, (*_unmapped(setup, base), invalid))
    closed = (
        *_unmapped(setup, base),
        *_target_closed(port, nports, found.partition, "LUTUDATA.PART"),
    )
    return Programmed(base, 0 if base is None else setup.aperture, translation, closed)


def _extent(base: int | None, limit: int, aperture: int) -> int:
    """Bytes between BAR and limit (§2.3), clamped to the aperture."""
    if base is None:
        return 0
    end = -(-limit // LIMIT_UNIT) * LIMIT_UNIT
    return max(0, min(end - base, aperture))


def _unmapped(setup: BarSetup, base: int | None) -> Iterator[Closed]:
    if base is None:
        yield Closed(Why.BAR_UNMAPPED, f"its own guest has not mapped BAR{setup.bar}")


def _limit_closed(setup: BarSetup, base: int | None, limit: int) -> Iterator[Closed]:
    if base is not None and limit <= base:
        text = f"limit {limit:#x} is not above BAR{setup.bar} at {base:#x}"
        yield Closed(Why.LIMIT_LOW, text)


def _target_closed(port: NtPort, nports: int, target: int, field: str) -> Iterator[Closed]:
    if target == port.partition:
        yield Closed(Why.OWN_PARTITION, f"target partition {target} is its own ({field})")
    elif target >= nports:
        yield Closed(Why.NO_PARTITION, f"target partition {target} is not configured ({field})")
