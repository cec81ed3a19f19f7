# SPDX-License-Identifier: MIT
"""ntbdbg resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.options import lab_command

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [("ntbdbg resume", "let every paused guest of the lab go on")]


@lab_command("resume", examples=EXAMPLES)
def command(app: AppContext) -> None:
    """Let all paused guests of the lab go on, whoever stopped them.

    Also after 'ntbdbg … --freeze' was killed before it could resume them itself.
    """
    resumed = app.lab.resume()
    if app.json:
        app.emit("resume", {"lab": app.lab.name, "resumed": resumed})
    elif resumed:
        app.write(f"resumed {', '.join(resumed)}")
    else:
        app.note("no guest was paused")
