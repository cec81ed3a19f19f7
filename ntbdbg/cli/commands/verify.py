# SPDX-License-Identifier: MIT
"""ntbdbg verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.capture.reading.capture import Capture
from ntbdbg.capture.reading.verify import Finding, examine
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import CHECKSUM_FILE
from ntbdbg.render.capture import damage_facts, damage_line
from ntbdbg.render.progress import Progress

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg verify before.cap", "whether it is as it was written, or where not"),
    ("ntbdbg verify before.cap --json", "the same for a program"),
]


@lab_command("verify", examples=EXAMPLES)
@click.argument("path", metavar="CAP", type=click.Path())
def command(app: AppContext, path: str) -> ExitStatus:
    """Check every byte of a capture against its checksums.

    Exit code 0 if all is as it was written, 1 if not; then a line for each part that is
    damaged says what of which guest it is. All else can be used as before.
    """
    with Progress("verify", not app.json) as progress:
        found = list(examine(path, progress))
    for part in found:
        if app.json:
            app.emit("damage", damage_facts(part))
        else:
            app.write(damage_line(part))
    _conclude(app, path, found)
    return ExitStatus.DIFFERENT if found else ExitStatus.OK


def _conclude(app: AppContext, path: str, found: list[Finding]) -> None:
    if app.json:
        app.emit("verify", {"path": path, "intact": not found, "damaged": len(found)})
    elif not found:
        app.write(f"{path}: intact")
    else:
        app.note(_usable(path, found))


def _usable(path: str, found: list[Finding]) -> str:
    """Whether the rest can be used."""
    try:
        Capture(path).close()
    except NtbdbgError as error:
        return f"it cannot be opened: {error.message}"
    if any(finding.damage.file == CHECKSUM_FILE for finding in found):
        return "it opens, but without its checksums nothing could be checked"
    return "all else is as it was written, and can be used"
