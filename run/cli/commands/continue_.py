# SPDX-License-Identifier: MIT
"""`python3 run continue`."""

from __future__ import annotations

import click

from run.cli.params import lab_option


@click.command("continue")
@lab_option
@click.argument("guest", metavar="N")
def command(name: str | None, guest: str) -> int:
    """Let guest N (1, 2, or its name) go on, which 'python3 run pause' stopped.

    What 'ntbdbg freeze' or a debugger stopped as well stays stopped until they let go, too.

    \b
    Examples:
      python3 run continue 2

    Exit code: 0; 1 if somebody else stopped it, or it does not run.
    """
    from run.lab import choose as labs
    from run.lab.pause import go_on

    click.echo(go_on(labs.running_guest(name, guest)), err=True)
    return 0
