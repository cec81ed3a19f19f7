# SPDX-License-Identifier: MIT
"""ntbdbg info."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.options import lab_command
from ntbdbg.errors import TargetError
from ntbdbg.target import where
from ntbdbg.target.summary import summarize

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg info", "the lab that runs, or the RAM files that are there"),
    ("ntbdbg info --lab other", "another lab of this user"),
    ("ntbdbg info --json", "the same for a program"),
]


@lab_command("info", examples=EXAMPLES)
def command(app: AppContext) -> None:
    """Show the lab: guests with their state, RAM and ports, the link, how it was found."""
    lab = app.lab
    if not lab.names:
        files = ", ".join(f"{where.BARE_FOLDER}/{name}" for name in where.BARE_NAMES)
        raise TargetError(f"no lab runs, and there is no RAM file {files}", hint=where.START_ONE)
    summary = summarize(lab)
    from ntbdbg.render.summary import LabView, summary_facts

    if app.json:
        app.emit("info", {**summary_facts(summary), "notes": lab.notes})
    else:
        app.console().print(LabView(summary))
