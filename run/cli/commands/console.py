# SPDX-License-Identifier: MIT
"""`python3 run console`."""

from __future__ import annotations

import sys

import click

from run.base.errors import RunError
from run.cli.params import Seconds, lab_option
from run.lab import choose as labs


@click.command("console")
@lab_option
@click.option(
    "--linger",
    type=Seconds(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With input from a pipe: end when the guest is quiet for so long after it.",
)
@click.argument("guest", metavar="N")
def command(name: str | None, linger: float, guest: str) -> int:
    """The serial console of guest N (1, 2, or its name).

    Every key goes to the guest; Ctrl-] ends it. What was printed before is in the console's log,
    which `status --json` names.

    \b
    Examples:
      python3 run console 1
      echo root | python3 run console 2         logs in
      echo uname -a | python3 run console 2

    Exit code: 0; 1 if there is no console or somebody else is at it.
    """
    from run.reach.console import attach, connect

    record = labs.running_guest(name, guest)
    if record.console_port is None:
        raise RunError(
            f"{record.name} has no console by telnet",
            hint="its options were replaced by --vmN-opts-override",
        )
    with connect(record.console_port, record.name) as connection:
        if sys.stdin.isatty():
            click.echo(f"{record.name}: Ctrl-] ends this", err=True)
        attach(connection, linger=linger)
    return 0
