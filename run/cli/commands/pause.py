# SPDX-License-Identifier: MIT
"""`python3 run pause`."""

from __future__ import annotations

import click

from run.cli.params import lab_option


@click.command("pause")
@lab_option
@click.argument("guest", metavar="N")
def command(name: str | None, guest: str) -> int:
    """Stop the processors of guest N (1, 2, or its name), until 'python3 run continue N'.

    The others go on, and so does the link as they see it: nothing is answered. 'ntbdbg freeze'
    stops all guests at one moment; neither undoes the other's stop.

    \b
    Examples:
      python3 run pause 2
      python3 run continue 2

    Exit code: 0, also if it stood still already; 1 if it does not run.
    """
    from run.lab import choose as labs
    from run.lab.pause import pause

    click.echo(pause(labs.running_guest(name, guest)), err=True)
    return 0
