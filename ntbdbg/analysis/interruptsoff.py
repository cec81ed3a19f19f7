# SPDX-License-Identifier: MIT
"""Processors that run the kernel with interrupts off, seen once or several times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import KernelError
from ntbdbg.kernel.alive.ticks import read_tick
from ntbdbg.lab.vcpus import vcpus_of

if TYPE_CHECKING:
    from ntbdbg.arch.base import Architecture
    from ntbdbg.kernel.alive.ticks import Tick
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.hosttime import HostTime
    from ntbdbg.lab.place import GuestLike

WATCHED = 1.0
"""Seconds; a guest whose host has much to do may let a tick wait for less."""

STEP = 0.1


class Look(NamedTuple):
    """One processor with interrupts off.

    :ivar tick: None if this kernel's ticks are not understood
    """

    cpu: int
    rip: int
    tick: Tick | None


def look(guest: GuestLike, kernel: Kernel) -> dict[int, Look]:
    """Every such processor of `guest` now, by number."""
    records = vcpus_of(guest).records
    return {
        record.index: Look(
            record.index, record.registers[kernel.arch.registers.pc], _tick(kernel, record.index)
        )
        for record in records
        if _is_off(record.registers, kernel.arch)
    }


def _is_off(registers: Mapping[str, int], arch: Architecture) -> bool:
    """In the kernel, not halted: a processor that is switched off, or panicked, is halted so."""
    off = arch.registers.pc in registers and arch.takes_interrupts(registers) is False
    return off and not registers.get("halted") and not arch.is_user(registers)


def _tick(kernel: Kernel, cpu: int) -> Tick | None:
    try:
        return read_tick(kernel, cpu)
    except KernelError:
        return None


def lasting(ask: Callable[[], dict[int, Look]], time: HostTime) -> tuple[dict[int, Look], float]:
    """Those that stay so and take no tick while they are watched, and for how long that was.

    One look is enough where there is none.
    """
    found, start = ask(), time.monotonic()
    while found and (passed := time.monotonic() - start) < WATCHED:
        time.sleep(min(STEP, WATCHED - passed))
        again = ask()
        found = {cpu: again[cpu] for cpu, one in found.items() if _stays(one, again.get(cpu))}
    return found, time.monotonic() - start


def _stays(before: Look, now: Look | None) -> bool:
    if now is None:
        return False
    due = [one.tick.due_ns if one.tick else None for one in (before, now)]
    return due[0] == due[1]
