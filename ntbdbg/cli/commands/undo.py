# SPDX-License-Identifier: MIT
"""ntbdbg undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import Parsed
from ntbdbg.errors import UsageError
from ntbdbg.render.patch import patch_facts, patch_line

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg undo", "the last patch"),
    ("ntbdbg undo 3", "patch 3 of 'ntbdbg patch --list'"),
    ("ntbdbg undo 3 --force", "even if its bytes changed since"),
]


def parse_patch_number(text: str) -> int:
    """The number of a patch."""
    if not text.isdigit() or not int(text[:9]):
        raise UsageError(
            f"{text!r:.40} is no number of a patch",
            hint="'ntbdbg patch --list' shows them; without a number the last one is taken back",
        )
    return int(text[:9])


@lab_command("undo", examples=EXAMPLES, freezes=True)
@click.argument("number", type=Parsed("number", parse_patch_number), required=False)
@click.option("--force", is_flag=True, help="Put the old bytes back even if others are there now.")
def command(app: AppContext, number: int | None, force: bool) -> None:
    """Take back patch NUMBER, or the last one, of the lab or of a bare RAM file.

    Refuses, with exit code 1, if the bytes are no longer those of the patch.
    """
    lab = app.patched_lab()
    app.note_lab(lab)
    with app.stillness():
        done = lab.undo(number, force=force)
    if app.json:
        app.emit("undo", patch_facts(done))
    else:
        app.write(patch_line(done, undone=True))
