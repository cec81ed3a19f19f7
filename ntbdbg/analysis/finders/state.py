# SPDX-License-Identifier: MIT
"""How each guest is: what is told of it where nothing worse is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.analysis.condition import condition_of
from ntbdbg.analysis.postmortem import Condition
from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.kernel.alive.sysstate import ENDED
from ntbdbg.kernel.log.troubles import Kind

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Evidence, Scene
    from ntbdbg.kernel.tasks.system import SystemInfo


def states(scene: Scene) -> Iterator[Verdict]:
    """At least one of each guest, unless its log tells of a panic."""
    for guest in scene.guests:
        condition, why = condition_of(guest)
        if condition is not Condition.PANICKED:
            yield Verdict(*_state(guest, condition))
        elif not any(one.kind is Kind.PANIC for one in guest.incidents):
            yield Verdict(Severity.PANICKED, guest.name, why[-1])


def _state(guest: Evidence, condition: Condition) -> tuple[Severity, str, str]:
    if condition is Condition.DEAD:
        return Severity.DEAD, guest.name, "its QEMU is gone; this is what it left behind"
    words = _words(guest, condition)
    if guest.info is None:
        reason = guest.problems[0] if guest.problems else "nothing is known of its kernel"
        return Severity.UNKNOWN, guest.name, f"{words}; {reason}"
    if ended := _ended(guest.info):
        return Severity.DEAD, guest.name, ended
    severity, told = _log(guest)
    if severity is Severity.FINE and condition not in (Condition.RUNNING, Condition.HUNG):
        severity = Severity.NOTABLE
    return severity, guest.name, words + told


def _log(guest: Evidence) -> tuple[Severity, str]:
    """What its log tells; nothing is fine where part of it could not be read."""
    log = guest.log
    why = "; ".join(log.notes) if log else ""
    if log is None or not log.records:
        return Severity.UNKNOWN, "; its log cannot be read" + (f": {why}" if why else "")
    told = f", its log tells of {'trouble' if guest.incidents else 'no trouble'}"
    if why:
        return Severity.UNKNOWN, f"{told}, but not all of it can be read: {why}"
    return Severity.FINE, told


def _words(guest: Evidence, condition: Condition) -> str:
    if condition is Condition.PAUSED:
        return f"it stands still (QEMU: {guest.state})"
    if condition is Condition.UNKNOWN:
        return "nobody can say whether it runs" if guest.state == "unknown" else guest.state
    return "it runs"


def _ended(info: SystemInfo) -> str:
    if info.system_state in ENDED:
        return ENDED[info.system_state]
    return "no processor uses its page tables" if info.in_use is False else ""
