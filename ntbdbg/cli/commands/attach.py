# SPDX-License-Identifier: MIT
"""ntbdbg attach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import lab_command
from ntbdbg.lab.sources import labs
from ntbdbg.lab.sources.attaching import attach
from ntbdbg.lab.sources.hostguests import host_guests
from ntbdbg.lab.sources.known import known_guests
from ntbdbg.lab.sources.which import called, find_guest, only_foreign
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.manifest import GuestRecord

EXAMPLES = [
    ("ntbdbg attach web1", "the guest that 'ntbdbg guests' calls so"),
    ("ntbdbg attach pid:20574 --name mine", "that of a process, as lab 'mine'"),
    ("ntbdbg attach one two", "two guests as one lab, to be compared"),
    ("ntbdbg attach web1 --may freeze", "and let it be stopped by 'freeze' and 'capture'"),
]


@lab_command("attach", examples=EXAMPLES)
@click.argument("which", nargs=-1, metavar="[WHICH]…")
@click.option("--name", metavar="LAB", help="What to call the lab.  [default: as its first guest]")
@click.option(
    "--may", type=click.Choice(["freeze"]), help="Let guests be stopped and continued, too."
)
@click.option("--write", is_flag=True, help="Let their memory be patched, too.")
def command(
    app: AppContext, which: tuple[str, ...], name: str | None, may: str | None, write: bool
) -> None:
    """Make guests that somebody else started a lab, to be looked at by every command.

    WHICH is a name, a UUID or a pid that 'ntbdbg guests' shows, or the path of a QMP socket;
    without it, the one guest that no lab knows. A run.json is written; nothing of the guest is
    stopped or changed, now or later, unless --may freeze or --write allow it. A monitor is asked
    where QEMU offers one that nobody holds. 'ntbdbg detach' forgets the lab.
    """
    known = host_guests(known_guests())
    chosen = [find_guest(word, known) for word in which] or [only_foreign(known)]
    allowed = (*([may] if may else []), *(["write"] if write else []))
    manifest = attach(chosen, name or called(chosen[0]), app.note, may=allowed)
    path = labs.save(manifest)
    if app.json:
        guests = [_facts(record) for record in manifest.guests]
        app.emit("attach", {"lab": manifest.lab, "path": path, "may": allowed, "guests": guests})
        return
    for record in manifest.guests:
        size = format_size(sum(part.size for part in record.ram.segments))
        app.write(f"{record.name}: {size} of RAM in {record.ram.path}, lab {manifest.lab!r}")


def _facts(record: GuestRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "pid": record.process.pid if record.process else None,
        "ram": record.ram.path,
        "monitor": record.qmp or None,
    }
