# SPDX-License-Identifier: MIT
"""`python3 run kill`."""

from __future__ import annotations

import click

from run.cli.params import lab_option


@click.command("kill")
@lab_option
@click.argument("guest", metavar="N")
def command(name: str | None, guest: str) -> int:
    """Kill the QEMU of guest N (1, 2, or its name) at once, as a crash of its host would.

    The others go on, and see the link go down. What it leaves can be read until it is started
    again: its RAM, its logs.

    \b
    Examples:
      python3 run kill 2
      python3 run start 2

    Exit code: 0; 1 if it does not run.
    """
    from run.lab import choose as labs
    from run.lab.power import off

    manifest, record = labs.running_of(name, guest)
    off(manifest, record, hard=True)
    click.echo(f"{record.name} is killed; 'python3 run start {guest}' starts it again", err=True)
    return 0
