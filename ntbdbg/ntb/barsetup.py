# SPDX-License-Identifier: MIT
"""BARSETUP: which windows a port has (§2.1; Linux ``idt_scan_mws`` does the same walk)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.ntb.model import WindowType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENABLED = 1 << 31
MODE_CFG = 1 << 10
TPART_SHIFT = 13
TPART_MASK = 7 << TPART_SHIFT
MAX_WINDOWS = 29
"""IDT_MAX_NR_MWS: with more the Linux driver does not probe."""

_KINDS = (WindowType.DIRECT, WindowType.LUT12, WindowType.LUT24, WindowType.RESERVED)
_ENTRIES = {WindowType.LUT12: 12, WindowType.LUT24: 24}
_SLOTS = {WindowType.LUT12: 16, WindowType.LUT24: 32}


@dataclass(frozen=True)
class BarSetup:
    """One BARSETUP register, decoded."""

    bar: int
    value: int

    @property
    def enabled(self) -> bool:
        return bool(self.value & ENABLED)

    @property
    def is_config(self) -> bool:
        """It shows the register space, not a window."""
        return bool(self.value & MODE_CFG)

    @property
    def is_64bit(self) -> bool:
        """The BAR takes the next one as its high half."""
        return self.value >> 1 & 3 == 2

    @property
    def kind(self) -> WindowType:
        return _KINDS[self.value >> 11 & 3]

    @property
    def bar_size(self) -> int:
        """Bytes of the whole BAR."""
        return 1 << (self.value >> 4 & 0x3F)

    @property
    def uses_lut(self) -> bool:
        """A lookup table translates, one window for each entry."""
        return self.kind in _ENTRIES

    @property
    def entries(self) -> int:
        """Windows in this BAR."""
        return _ENTRIES.get(self.kind, 1)

    @property
    def aperture(self) -> int:
        """Bytes of each window: a lookup table leaves its last quarter unused."""
        return self.bar_size // _SLOTS.get(self.kind, 1)

    @property
    def target_partition(self) -> int:
        """TPART; of a direct window only."""
        return (self.value & TPART_MASK) >> TPART_SHIFT


def window_bars(barsetup: Sequence[int]) -> Iterator[BarSetup]:
    """The BARs that hold windows, in order; the high half of a 64-bit BAR is skipped.

    Disabled and configuration-space BARs are left out.
    """
    bar = 0
    while bar < len(barsetup):
        setup = BarSetup(bar, barsetup[bar])
        if setup.enabled and not setup.is_config:
            yield setup
        bar += 2 if setup.enabled and setup.is_64bit else 1
