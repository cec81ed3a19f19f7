# SPDX-License-Identifier: MIT
"""ntbdbg report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import ntbdbg
from ntbdbg.cli.commands.postmortem import lab_of
from ntbdbg.cli.options import lab_command
from ntbdbg.memory.newfile import NewFile
from ntbdbg.render.progress import Progress

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg report hang.cap -o hang.html", "one page with everything, to be sent to somebody"),
    ("ntbdbg report after.cap --since before.cap -o what.html", "and which pages changed between"),
    ("ntbdbg report -o now.html --freeze", "of the lab that runs"),
]


@lab_command("report", examples=EXAMPLES, freezes=True)
@click.argument("capture", metavar="[OUT.cap]", required=False, type=click.Path())
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False),
    help="The HTML file to write; what it held before is replaced.",
)
@click.option(
    "--since", metavar="CAP", type=click.Path(), help="Earlier capture: show what changed since."
)
def command(app: AppContext, capture: str | None, output: str, since: str | None) -> None:
    """Write what 'postmortem' tells, and more, as one HTML page.

    The page needs no network and no other file. It has a picture of the address spaces and the
    windows between them, maps of which pages are in use (and changed since another capture),
    registers, logs, stacks, tasks and hex dumps that unfold, and a search over all of it.
    """
    from ntbdbg.analysis.examine import examine
    from ntbdbg.analysis.reported import dumps_of, pages_of
    from ntbdbg.render.report.page import html_page

    with NewFile(output, replace=True, mode=0o644) as file:
        lab_of(app, capture)
        earlier = ntbdbg.open(since, notify=app.note) if since else None
        with app.stillness(), Progress("report", not app.json) as progress:
            story = examine(app.lab)
            pages = pages_of(app.lab, earlier, progress)
            text = html_page(story, pages, dumps_of(app.lab), version=ntbdbg.__version__).encode()
        file.write(0, text)
        file.finish(len(text))
    if app.json:
        app.emit("report", {"path": output, "size": len(text)})
    else:
        app.write(f"{output}: {len(text) >> 10} KiB")
