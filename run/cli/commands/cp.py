# SPDX-License-Identifier: MIT
"""`python3 run cp`."""

from __future__ import annotations

from pathlib import Path

import click

from run.cli.params import lab_option


@click.command("cp")
@lab_option
@click.argument("operands", metavar="FILE... WHERE", nargs=-1)
def command(name: str | None, operands: tuple[str, ...]) -> int:
    """Copy files and folders into a guest, or out of it.

    A file of a guest is written N:/path (1, 2, or its name); a path without / in front begins in
    /root. What WHERE names is replaced; a folder takes the copies in. Modes stay.

    \b
    Examples:
      python3 run cp firmware.bin 1:/tmp
      python3 run cp 2:/proc/interrupts .
      python3 run cp scripts 1:/root         the folder, with all that is in it
      python3 run cp 1:/var/log ./log-of-1

    Exit code: 0, or 1 if something is not there or cannot be written.
    """
    from run.lab import choose as labs
    from run.reach import copy
    from run.reach.places import plan

    copies = plan(operands)
    record, port = labs.reachable_guest(name, copies.guest)
    for source in copies.sources:
        if copies.out:
            copy.get(port, source.path, Path(copies.target.path), record.name)
        else:
            copy.put(port, Path(source.path), source.name, copies.target.path, record.name)
    return 0
