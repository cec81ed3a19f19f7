# SPDX-License-Identifier: MIT
"""`python3 run start`."""

from __future__ import annotations

import click

from run.cli.params import Seconds, lab_option
from run.vm.options import LaunchOptions


@click.command("start")
@click.argument("guest")
@lab_option
@click.option(
    "--boot-timeout",
    type=Seconds(min=0, min_open=True),
    default=LaunchOptions.boot_timeout,
    show_default=True,
    metavar="SECONDS",
    help="Until it must accept ssh.",
)
def command(guest: str, name: str | None, boot_timeout: float) -> int:
    """Start GUEST again, which ended while others of its lab go on.

    It gets the command line it had, and a new RAM file in place of the one it left; its former
    logs stay as *.previous.log. GUEST is a number from 1, or a name.

    \b
    Examples:
      python3 run start 2
      python3 run start qemu2 --name left

    Exit code: 0 once it accepts ssh, 1 failed.
    """
    from run.lab.start import start

    start(name, guest, boot_timeout=boot_timeout, say=lambda words: click.echo(words, err=True))
    return 0
