# SPDX-License-Identifier: MIT
"""ntbdbg resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import complete_guest, lab_command

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg resume", "let every paused guest of the lab go on"),
    ("ntbdbg resume qemu2", "only this one, also if it was never started"),
]


@lab_command("resume", examples=EXAMPLES)
@click.argument("guests", nargs=-1, metavar="[GUEST]...", shell_complete=complete_guest)
def command(app: AppContext, guests: tuple[str, ...]) -> None:
    """Let all paused guests of the lab go on, whoever stopped them, or only those named.

    Also after 'ntbdbg … --freeze' was killed before it could resume them itself. A guest that
    is on the move (migrated, saved, loaded) is refused.
    """
    app.note_lab(app.lab)
    resumed = app.lab.resume(*guests)
    if app.json:
        app.emit("resume", {"lab": app.lab.name, "resumed": resumed})
    elif resumed:
        app.write(f"resumed {', '.join(resumed)}")
    else:
        app.note("no guest was paused")
