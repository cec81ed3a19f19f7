# SPDX-License-Identifier: MIT
"""ntbdbg postmortem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import lab_command
from ntbdbg.errors import UsageError

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg postmortem hang.cap", "what all were doing when the capture was taken"),
    ("ntbdbg postmortem", "the same of the lab that runs"),
    ("ntbdbg postmortem --freeze --log 40", "at one moment, with more of the kernels' logs"),
]


def lab_of(app: AppContext, capture: str | None) -> None:
    """Let CAPTURE, if it is given, be the lab that the command is about."""
    if capture is not None and (app.where is not None or app.lab_name is not None):
        raise UsageError(
            f"{capture} and --from or --lab exclude each other", hint="name the lab once"
        )
    app.where = capture or app.where


@lab_command("postmortem", examples=EXAMPLES, freezes=True)
@click.argument("capture", metavar="[OUT.cap]", required=False, type=click.Path())
@click.option(
    "--log",
    "lines",
    type=click.IntRange(0, 60),
    default=12,
    show_default=True,
    help="Lines of each kernel's log.",
)
def command(app: AppContext, capture: str | None, lines: int) -> None:
    """Tell what every guest was doing, and how the link was: the page to read first.

    Of each guest: whether it runs, hangs, panicked or is dead and what says so, the panic's
    text, what its CPUs do, tasks that wait. Of the link: why it is down, doorbells and messages
    that wait, windows, where driver and device disagree. Then what differs between the guests.
    """
    from ntbdbg.analysis.examine import examine
    from ntbdbg.render.postmortem import PostmortemView, postmortem_facts

    lab_of(app, capture)
    with app.stillness():
        story = examine(app.lab)
    if app.json:
        app.emit("postmortem", postmortem_facts(story))
    else:
        app.console().print(PostmortemView(story, log_lines=lines))
