# SPDX-License-Identifier: MIT
"""How far the clock of a kernel's log is ahead of its CLOCK_MONOTONIC.

printk stamps by ``local_clock()``, which begins before timekeeping does and is not corrected with
it. Each CPU keeps both of one moment (``struct sched_clock_data``, ``kernel/sched/clock.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.kernel.image.image import KernelImage


class LogClock(NamedTuple):
    """Nanoseconds.

    :param ahead_ns: the log's clock minus CLOCK_MONOTONIC
    :param spread_ns: how far CPUs differ in it
    """

    ahead_ns: int
    spread_ns: int


def read_log_clock(kernel: KernelImage) -> LogClock:
    """As of each CPU's last tick; KernelError where it cannot be read."""
    found = sorted(_differences(kernel))
    if not found:
        raise KernelError("no CPU tells how its log's clock goes")
    return LogClock((found[0] + found[-1]) // 2, found[-1] - found[0])


def _differences(kernel: KernelImage) -> Iterator[int]:
    layout = kernel.layouts["sched_clock_data"]
    variable = kernel.symbol("sched_clock_data").address
    for cpu in kernel.online_cpus():
        try:
            both = layout.parse(kernel.virtual, kernel.percpu(variable, cpu))
        except FaultError:
            continue
        yield both.number("clock") - both.number("tick_gtod")
