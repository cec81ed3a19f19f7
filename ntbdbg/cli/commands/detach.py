# SPDX-License-Identifier: MIT
"""ntbdbg detach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import lab_command
from ntbdbg.lab.sources import labs

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [("ntbdbg detach web1", "forget what 'ntbdbg attach web1' found out")]


@lab_command("detach", examples=EXAMPLES)
@click.argument("name", metavar="[LAB]", required=False)
def command(app: AppContext, name: str | None) -> None:
    """Forget a lab that was attached to; its guests do not notice.

    The journal of its patches goes, too: 'ntbdbg undo' first, if there are any.
    """
    done = labs.forget(name or app.lab_name)
    if app.json:
        app.emit("detach", {"lab": done})
    else:
        app.write(f"lab {done!r} is forgotten")
