# SPDX-License-Identifier: MIT
"""Whether the kernel in a guest panics, looked for often: a few bytes are read each time.

``panic_cpu`` is the number of the CPU that panics, -1 before (kernel/panic.c, since 4.4). A
guest that reboots gets another kernel elsewhere, which shows in a clock that stands still.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.memory.base import PhysicalMemory

PATIENCE = 5.0
"""Seconds for which the clock may stand still, and between two attempts to find a kernel."""

NOBODY = -1


class _Places(NamedTuple):
    """Guest-physical addresses in one kernel."""

    panic_cpu: int
    jiffies: int


class PanicWatch:
    """Looks at the kernel in `memory`, and finds its successor after a reboot.

    :param find: finds the kernel that is in it
    :ivar understood: whether a kernel has ever been found there
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        find: Callable[[PhysicalMemory], KernelImage],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory, self._open, self._clock = memory, find, clock
        self._places: _Places | None = None
        self._ticks, self._since = -1, -PATIENCE
        self.understood = False

    def panics(self) -> bool:
        """Whether it panics now.

        :raises TargetError: the memory vanished, shrank or was replaced
        """
        if self._places is None or self._stands_still():
            self._find()
        if self._places is None:
            return False
        return self._read(self._places.panic_cpu, 4) != NOBODY

    def _stands_still(self) -> bool:
        """Whether its clock has not moved for so long that this may be another kernel's RAM."""
        assert self._places is not None
        ticks, now = self._read(self._places.jiffies, 8), self._clock()
        if ticks != self._ticks:
            self._ticks, self._since = ticks, now
        return now - self._since >= PATIENCE

    def _find(self) -> None:
        if self._places is None and self._clock() - self._since < PATIENCE:
            return
        self._since = self._clock()
        try:
            kernel = self._open(self._memory)
            names = ("panic_cpu", "jiffies_64")
            self._places = _Places(*(kernel.translate(kernel.symbol(n).address) for n in names))
            self.understood = True
        except (KernelError, FaultError):
            self._places = None

    def _read(self, address: int, size: int) -> int:
        return self._memory.word(address, size, signed=True)
