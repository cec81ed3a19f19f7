# SPDX-License-Identifier: MIT
"""How a guest is, in one word, and what that follows from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.analysis.postmortem import Condition
from ntbdbg.kernel.log.troubles import HANGS

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Evidence
    from ntbdbg.kernel.log.troubles import Kind, Trouble

NS = 1_000_000_000

RECENT = 180 * NS
"""A hang that the log told of so long before the guest's clock stopped may still go on."""


STATES = {
    "running": Condition.RUNNING,
    "alive": Condition.RUNNING,
    "paused": Condition.PAUSED,
    "suspended": Condition.PAUSED,
    "guest-panicked": Condition.PANICKED,
    "dead": Condition.DEAD,
}
"""What QEMU's run state says by itself."""


def condition_of(guest: Evidence) -> tuple[Condition, list[str]]:
    """The word and its reasons; QEMU's state, the kernel's own words, its log, the surest first."""
    condition = STATES.get(guest.state, Condition.UNKNOWN)
    why = [] if condition is Condition.RUNNING else [f"QEMU says: {guest.state}"]
    if guest.info is None:
        return condition, why
    if guest.info.panic_cpu is not None:
        why.append(f"its kernel panicked on CPU {guest.info.panic_cpu}")
        condition = Condition.PANICKED if condition is not Condition.DEAD else condition
    found = _signs(guest)
    if any(sign.kind in HANGS for sign in found) and condition is Condition.RUNNING:
        condition = Condition.HUNG
    why += [f"{sign.kind.value} at {sign.time_ns / NS:.6f} s: {sign.text}" for sign in found]
    return condition, why


def may_go_on(guest: Evidence, kind: Kind, time_ns: int) -> bool:
    """Whether what its log told of then may still be so: a hang ends."""
    return kind not in HANGS or guest.clock_ns - time_ns <= RECENT


def _signs(guest: Evidence) -> list[Trouble]:
    """The last of each kind of trouble; hangs only if they may still go on."""
    last = {trouble.kind: trouble for trouble in guest.info.trouble} if guest.info else {}
    return [one for one in last.values() if may_go_on(guest, one.kind, one.time_ns)]
