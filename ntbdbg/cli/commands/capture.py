# SPDX-License-Identifier: MIT
"""ntbdbg capture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ntbdbg import __version__
from ntbdbg.cli.options import lab_command
from ntbdbg.render.capture import taken_facts, taken_line
from ntbdbg.render.progress import Progress
from ntbdbg.target.capture.take import Options, Taken, take

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg capture before.cap", "both guests, registers and the link, at one moment"),
    ("ntbdbg capture before.cap --pack", "the same as one compressed file"),
    ("ntbdbg --from before.cap windows", "any command on it, also when the guests are gone"),
    ("ntbdbg diff before.cap:qemu1 qemu1", "what changed since"),
]


@lab_command("capture", examples=EXAMPLES)
@click.argument("path", metavar="OUT.cap", type=click.Path())
@click.option("--pack", is_flag=True, help="One compressed file instead of a folder.")
@click.option("--guests", metavar="NAME,…", help="Only these; all are stopped for it all the same.")
@click.option("--force", is_flag=True, help="Replace a capture of that name.")
@click.option(
    "--no-freeze", is_flag=True, help="Stop nobody, for a QEMU that does not answer; may be torn."
)
def command(
    app: AppContext, path: str, pack: bool, guests: str | None, force: bool, no_freeze: bool
) -> None:
    """Preserve guests, their registers and the link, at one moment, as OUT.cap.

    RAM is copied while the guests run; they stand still only while what changed since is
    found and copied. Every command works on the result: ntbdbg --from OUT.cap COMMAND.
    """
    options = Options(
        guests=guests.split(",") if guests else None,
        pack=pack,
        freeze=not no_freeze,
        replace=force,
    )
    with Steps(app) as steps:
        taken = take(app.lab, path, options, steps, f"ntbdbg {__version__}")
    show(app, taken)


def show(app: AppContext, taken: Taken) -> None:
    """Print what was captured."""
    capture = taken.manifest.capture
    for note in capture.notes if capture else ():
        app.note(note)
    if app.json:
        app.emit("capture", taken_facts(taken))
    else:
        app.write(taken_line(taken))


class Steps:
    """A progress bar for each step, one after the other; for people at a terminal."""

    def __init__(self, app: AppContext) -> None:
        self._enabled = not app.json
        self._bar: Progress | None = None

    def __call__(self, label: str) -> Callable[[int, int], None]:
        self.__exit__()
        self._bar = Progress(label, self._enabled)
        return self._bar

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.clear()
            self._bar = None
