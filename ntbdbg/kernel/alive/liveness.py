# SPDX-License-Identifier: MIT
"""Which of several kernels in one RAM is the one that runs, or ran last.

After a reboot that clears nothing, after kexec, or in a crash kernel, memory of the one before is
whole for a while: text, page tables and all. What tells the live one, the surest sign first:

1. a processor translates by page tables that hold it (CR3), where registers are known;
2. its memory agrees with itself: that of a dead one is used by others, sooner or later;
3. it has not ended by its own word: restarted, handed over, or panicked;
4. its clock, which stops when a kernel ends, is the latest. Whoever sets a clock can fool it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.alive.clock import NS, read_clocks
from ntbdbg.kernel.alive.sysstate import ENDED, NO_CPU, number, system_state
from ntbdbg.kernel.boot.locate import contradiction
from ntbdbg.kernel.image.image import KernelImage
from ntbdbg.kernel.mmu.paging import PageTables

K = TypeVar("K", bound=KernelImage)

LOOKS = 3
"""At registers of a guest that runs: a process may end while its page tables are looked at."""


class Signs(NamedTuple):
    """What speaks for one kernel, in the order of weight."""

    is_used: bool
    is_sound: bool
    goes_on: bool
    clock: float

    def reason(self, next_best: Signs) -> str:
        """What sets it apart, as a clause."""
        if self.is_used > next_best.is_used:
            return "a processor uses its page tables"
        if self.is_sound > next_best.is_sound:
            return "memory of the others is not whole any more"
        if self.goes_on > next_best.goes_on:
            return "the others have ended by their own word"
        if not self.clock:
            return "no clock of them can be read, so it may be another one that lives"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.clock))
        if self.clock == next_best.clock:
            return f"clocks of several say {when} UTC, so it may be another one that lives"
        return f"its clock is the latest, {when} UTC"


def by_liveness(kernels: Sequence[K]) -> tuple[list[K], str]:
    """The live one of at least two first, then the others; and in words how that was decided."""
    used = in_use(kernels)
    pairs = zip(kernels, used or [False] * len(kernels), strict=True)
    signs = {id(kernel): _signs(kernel, is_used) for kernel, is_used in pairs}
    ordered = sorted(kernels, key=lambda kernel: signs[id(kernel)], reverse=True)
    first, second = (signs[id(kernel)] for kernel in ordered[:2])
    why = first.reason(second)
    if used and not any(used):
        why += "; no processor uses page tables of any, so perhaps none of them lives"
    return ordered, why


def in_use(kernels: Sequence[KernelImage]) -> list[bool] | None:
    """Of each, whether a processor translates by page tables that hold it; None if nobody knows."""
    used: list[bool] | None = None
    for _ in range(LOOKS):
        roots = kernels[0].roots()
        if not roots:
            break
        used = [_is_held(kernel, roots) for kernel in kernels]
        if any(used):
            break
    return used


def _is_held(kernel: KernelImage, roots: Iterable[int]) -> bool:
    """Whether by one of `roots`, as registers have them, the kernel's own top table is in place."""
    info = kernel.info
    for place in {place for root in roots for place in kernel.arch.tables(root, info)}:
        tables = PageTables(kernel.memory, place, info.geometry)
        try:
            if tables.translate(info.swapper_pg_dir)[0] == info.page_table_root:
                return True
        except FaultError:
            continue
    return False


def ending(kernel: KernelImage) -> str | None:
    """How `kernel` ended by its own word, as a clause; None if it did not, or cannot be asked.

    :raises FaultError: its memory is gone
    """
    try:
        if number(kernel, "panic_cpu") != NO_CPU:
            return "it has panicked"
        return ENDED.get(system_state(kernel))
    except KernelError:
        return None


def time_of_day(kernel: KernelImage) -> float | None:
    """Seconds since 1970 when `kernel` last looked, None if that cannot be found out.

    :raises FaultError: its memory is gone
    """
    try:
        seconds = read_clocks(kernel).realtime_ns / NS
    except KernelError:
        return None
    return seconds if seconds < 1 << 36 else None


def _signs(kernel: KernelImage, used: bool) -> Signs:
    if contradiction(kernel.memory, kernel.info) is not None:
        return Signs(used, False, False, 0)
    try:
        return Signs(used, True, ending(kernel) is None, time_of_day(kernel) or 0)
    except FaultError:
        return Signs(used, False, False, 0)
