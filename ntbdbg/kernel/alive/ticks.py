# SPDX-License-Identifier: MIT
"""When each CPU of a kernel is due for its next tick (``kernel/time/tick-sched.c``).

A CPU that takes no interrupts takes no ticks: its next one stays due, and falls behind the clock
that the other CPUs move on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.alive.clock import NS, read_clocks

if TYPE_CHECKING:
    from ntbdbg.kernel.alive.clock import Clocks
    from ntbdbg.kernel.image.image import KernelImage

FAR = 3600 * NS
"""A tick that is due further ahead is none: the CPU idles without ticks."""


class Tick(NamedTuple):
    """Of one CPU.

    :ivar due_ns: when its next tick is due, since boot without sleep; None if it has none to come
    :ivar clocks: the kernel's clocks at the same time
    """

    due_ns: int | None
    clocks: Clocks

    @property
    def late_ns(self) -> int:
        """How long it has been due by the kernel's own clock; 0 if it is not."""
        return 0 if self.due_ns is None else max(0, self.clocks.monotonic_ns - self.due_ns)


def read_tick(kernel: KernelImage, cpu: int) -> Tick:
    """Of CPU `cpu`, now.

    :raises KernelError: the clocks, or that CPU, are not there
    """
    return Tick(_due(kernel, cpu), read_clocks(kernel))


def _due(kernel: KernelImage, cpu: int) -> int | None:
    try:
        layout = kernel.layouts["tick_sched"]
        place = kernel.percpu(kernel.symbol("tick_cpu_sched").address, cpu)
        due = layout.parse(kernel.virtual, place).signed("sched_timer._softexpires")
        ahead = due - read_clocks(kernel).monotonic_ns
    except (KernelError, FaultError):
        return None  # a kernel without high-resolution timers
    return due if due > 0 and ahead < FAR else None
