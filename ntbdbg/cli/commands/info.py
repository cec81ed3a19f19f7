# SPDX-License-Identifier: MIT
"""ntbdbg info."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.analysis.summary import summarize
from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.errors import TargetError
from ntbdbg.lab import where

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg info", "the lab that runs, or the RAM files that are there"),
    ("ntbdbg info --lab other", "another lab of this user"),
    ("ntbdbg info qemu1", "the kernel in a guest: release, uptime, memory, CPUs, panic"),
    ("ntbdbg --from before.cap info", "a capture: when it was taken, what it holds"),
    ("ntbdbg info --json", "the same for a program"),
]


@lab_command("info", examples=EXAMPLES, freezes=True)
@target_argument(required=False)
def command(app: AppContext, target: str | None) -> None:
    """Show the lab: guests with their state, RAM and ports, the link, how it was found.

    With TARGET: the kernel in that guest, from its RAM alone. What it is, how long it runs,
    its memory and CPUs, whether it panicked, what its log tells of trouble, and which other
    kernels left traces in the RAM.
    """
    if target is not None:
        _show_guest(app, target)
        return
    lab = app.lab
    if not lab.names:
        files = ", ".join(f"{where.BARE_FOLDER}/{name}" for name in where.BARE_NAMES)
        raise TargetError(f"no lab runs, and there is no RAM file {files}", hint=where.NO_LAB_HINT)
    summary = summarize(lab)
    from ntbdbg.render.summary import LabView, summary_facts

    if app.json:
        app.emit("info", {**summary_facts(summary), "notes": lab.notes})
    else:
        app.console().print(LabView(summary))


def _show_guest(app: AppContext, target: str) -> None:
    from ntbdbg.analysis.examine import examine_guest
    from ntbdbg.lab.elsewhere import ram_elsewhere
    from ntbdbg.render.system import SystemView, system_facts
    from ntbdbg.render.verdicts import VerdictsOfOne, verdict_facts

    guest = app.guest(target)
    with app.stillness():
        info, found = examine_guest(guest)
        elsewhere = ram_elsewhere(guest)
    if app.json:
        facts = system_facts(info)
        facts["notes"] = [*info.notes, *elsewhere]
        app.emit("info-guest", {"guest": guest.name, "verdicts": verdict_facts(found), **facts})
        return
    console = app.console()
    console.print(VerdictsOfOne(found, guest.name))
    console.print(SystemView(guest.name, info))
    for note in info.notes:
        app.note(f"{guest.name}: {note}")
    for note in elsewhere:
        app.note(note)
