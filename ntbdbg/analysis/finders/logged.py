# SPDX-License-Identifier: MIT
"""What each guest's log tells of: oopses, warnings, hangs, panics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.analysis.condition import may_go_on
from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.kernel.log.troubles import HANGS, SECOND, Kind

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Evidence, Scene
    from ntbdbg.kernel.log.incidents import Incident

SEVERITIES = {
    Kind.PANIC: Severity.PANICKED,
    Kind.OOPS: Severity.BROKEN,
    Kind.CORRUPTION: Severity.BROKEN,
    Kind.OUT_OF_MEMORY: Severity.WARNED,
    Kind.WARNING: Severity.WARNED,
    **dict.fromkeys(HANGS, Severity.HUNG),
}


def logged(scene: Scene) -> Iterator[Verdict]:
    """The last of each kind, of each guest; hangs only if they may still go on."""
    for guest in scene.guests:
        last = {incident.kind: incident for incident in guest.incidents}
        for one in last.values():
            if may_go_on(guest, one.kind, one.time_ns):
                yield _verdict(guest, one)


def _verdict(guest: Evidence, incident: Incident) -> Verdict:
    where = f", in {incident.place}" if incident.place else ""
    task = f", {incident.task}" if incident.task else ""
    cpu = f" on CPU {incident.cpu}" if incident.cpu is not None else ""
    count = sum(one.kind is incident.kind for one in guest.incidents) - 1
    earlier = f"; {count} earlier" if count else ""
    when = f"{incident.kind.value} at {incident.time_ns / SECOND:.3f} s"
    return Verdict(
        SEVERITIES[incident.kind],
        guest.name,
        f"{when}: {incident.headline}{where}{task}{cpu}{earlier}",
        place=incident.place,
        details=incident.told[1:],
    )
