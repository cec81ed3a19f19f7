# SPDX-License-Identifier: MIT
"""The clocks of a kernel, as of its last tick (``kernel/time/timekeeping.c``)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Record
    from ntbdbg.kernel.image.image import KernelImage

NS = 1_000_000_000
LONGEST_NS = 100 * 365 * 86400 * NS
"""No guest runs longer; what claims so is no timekeeper."""


@dataclass(frozen=True)
class Clocks:
    """Nanoseconds, as of the last tick: an idle guest may let seconds pass between two.

    :ivar boottime_ns: since boot, sleep included: what /proc/uptime shows
    :ivar monotonic_ns: since boot without sleep
    :ivar realtime_ns: time of day, since 1970
    """

    boottime_ns: int
    monotonic_ns: int
    realtime_ns: int


def read_clocks(kernel: KernelImage) -> Clocks:
    """The clocks now; KernelError if the timekeeper is not where it was in known kernels."""
    keeper = kernel.layouts["timekeeper"].parse(kernel.virtual, _address(kernel))
    shift = keeper.number("tkr_mono.shift")
    fraction = keeper.number("tkr_mono.xtime_nsec") >> min(shift, 63)
    monotonic = keeper.signed("tkr_mono.base") + fraction
    boottime = monotonic + keeper.signed("offs_boot")
    realtime = keeper.number("xtime_sec") * NS + fraction
    if not _plausible(keeper, monotonic, boottime, realtime):
        raise KernelError(
            f"what should be the timekeeper at {keeper.address:#x} is none",
            hint="its memory is damaged, or this kernel keeps it elsewhere",
        )
    return Clocks(boottime, monotonic, realtime)


def _address(kernel: KernelImage) -> int:
    """VA of the core timekeeper.

    In older kernels ``tk_core`` is an anonymous structure, which begins with a sequence count
    (and with PREEMPT_RT a pointer to its lock); then it became a ``struct tk_data``, and with
    22c62b9a84b8 ("timekeeping: Introduce auxiliary timekeepers"), 6.17, the first of the array
    ``timekeeper_data``.
    """
    symbol = next((s for n in ("tk_core", "timekeeper_data") if (s := kernel.table.named(n))), None)
    if symbol is None:
        raise KernelError("it has neither tk_core nor timekeeper_data")
    return symbol[0].address + _offset(kernel)


def _offset(kernel: KernelImage) -> int:
    """Bytes from ``tk_core`` to the timekeeper in it."""
    with contextlib.suppress(KernelError):
        return kernel.layouts["tk_data"].find("timekeeper").offset
    with contextlib.suppress(KernelError):
        return -(-kernel.layouts["seqcount_raw_spinlock"].size // 8) * 8
    return 8


def _plausible(keeper: Record, monotonic: int, boottime: int, realtime: int) -> bool:
    whole = keeper.number("ktime_sec")
    return (
        0 <= monotonic <= boottime < LONGEST_NS
        and abs(monotonic // NS - whole) <= 1
        and 0 <= realtime < 1 << 63
    )
