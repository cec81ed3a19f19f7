# SPDX-License-Identifier: MIT
"""`python3 run reset`."""

from __future__ import annotations

import click

from run.cli.params import Seconds, lab_option
from run.vm.options import LaunchOptions


@click.command("reset")
@lab_option
@click.option(
    "--boot-timeout",
    type=Seconds(min=0, min_open=True),
    default=LaunchOptions.boot_timeout,
    show_default=True,
    metavar="SECONDS",
    help="Until it must accept ssh again.",
)
@click.argument("guest", metavar="N")
def command(name: str | None, boot_timeout: float, guest: str) -> int:
    """Press the reset button of guest N (1, 2, or its name): it boots anew, without a goodbye.

    Its RAM file, ports and logs stay; the others go on, and see the link go down and come up.
    One that panicked boots, too.

    \b
    Examples:
      python3 run reset 2

    Exit code: 0 once it accepts ssh again, or at once if it stands still; 1 failed.
    """
    from run.lab import choose as labs
    from run.lab.power import reset
    from run.lab.start import wait_for_ssh

    manifest, record = labs.running_of(name, guest)
    if not reset(record):
        click.echo(f"{record.name} is reset, and boots when it goes on", err=True)
        return 0
    click.echo(f"{record.name} is reset: booting, until it accepts ssh ...", err=True)
    wait_for_ssh(record, manifest, boot_timeout)
    click.echo(f"{record.name} is up", err=True)
    return 0
