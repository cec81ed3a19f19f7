# SPDX-License-Identifier: MIT
"""ntbdbg windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.linkpage import open_page, page_option, partition_of
from ntbdbg.cli.options import lab_command, target_argument

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg windows", "every memory window of every port"),
    ("ntbdbg windows qemu1", "those of one guest"),
    ("ntbdbg windows --all", "a line for each, those that nobody uses as well"),
    ("ntbdbg windows --json | jq '.windows[] | select(.open)'", "the open ones, for a program"),
    ("ntbdbg windows --page /dev/shm/ivshmem", "a shared page without run.json"),
]


@lab_command("windows", examples=EXAMPLES, freezes=True)
@target_argument(required=False)
@page_option
@click.option("--all", "-a", "everything", is_flag=True, help="Do not fold alike closed windows.")
def command(app: AppContext, target: str | None, page: str | None, everything: bool) -> None:
    """Show memory windows: where each one leads in the peer's memory, or why it is closed.

    All follows from the registers that the ports publish; where the device itself says
    otherwise, that is told. SIZE is what the limit leaves of the aperture. Neighbours that are
    closed for the same reason share a line.
    """
    source, names = open_page(app, page, target)
    with app.stillness():
        link = source.link()
    wanted = None if target is None else partition_of(target, link, names)
    from ntbdbg.render.windows import WindowMap, link_notes, window_facts

    windows = link.windows if wanted is None else link.windows_of(wanted)
    if app.json:
        app.emit("windows", window_facts(link, windows, names))
        return
    app.console().print(WindowMap(link, windows, names, fold=not everything))
    for note in link_notes(link, names):
        app.note(note)
