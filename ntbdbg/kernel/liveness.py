# SPDX-License-Identifier: MIT
"""Which of several kernels in one RAM is the one that runs, or ran last.

After a reboot that clears nothing, after kexec, or in a crash kernel, memory of the one before is
whole for a while: text, page tables and all. Each has a clock, which stopped when it ended; so
the one whose time of day is the latest lives.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.clock import NS, read_clocks
from ntbdbg.kernel.locate import contradiction

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel


def by_liveness(kernels: list[Kernel]) -> tuple[list[Kernel], str]:
    """The live one first, then the others by age; and in words how that was decided."""
    clocks = {id(kernel): time_of_day(kernel) for kernel in kernels}

    def key(kernel: Kernel) -> tuple[bool, float]:
        sound = contradiction(kernel.memory, kernel.info) is None
        return sound, clocks[id(kernel)] or 0

    ordered = sorted(kernels, key=key, reverse=True)
    latest = clocks[id(ordered[0])]
    if latest is None:
        return ordered, "no clock of them can be read, so it may be another one that lives"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(latest))
    if list(clocks.values()).count(latest) > 1:
        return ordered, f"clocks of several say {when} UTC, so it may be another one that lives"
    return ordered, f"its clock is the latest, {when} UTC"


def time_of_day(kernel: Kernel) -> float | None:
    """Seconds since 1970 when `kernel` last looked, None if that cannot be found out."""
    try:
        seconds = read_clocks(kernel).realtime_ns / NS
    except (KernelError, FaultError):
        return None
    return seconds if seconds < 1 << 36 else None
