# SPDX-License-Identifier: MIT
"""`python3 run link`."""

from __future__ import annotations

import click

from run.cli.params import lab_option


@click.command("link")
@lab_option
@click.argument("what", metavar="down|up", type=click.Choice(["down", "up"]))
@click.argument("guest", metavar="N")
def command(name: str | None, what: str, guest: str) -> int:
    """Pull the cable of guest N's NTB port (1, 2, or its name), or plug it in again.

    Both sides' drivers see the link go down: no window, doorbell or message passes. The guests
    themselves go on. What the drivers have set up is as before when the cable is in again.

    \b
    Examples:
      python3 run link down 2
      python3 run link up 2

    Exit code: 0, also if it was so already; 1 if the guest has no NTB.
    """
    from run.lab import choose as labs
    from run.lab.cable import plug

    record = labs.running_guest(name, guest)
    changed = plug(record, up=what == "up")
    state = "in" if what == "up" else "out"
    click.echo(f"the cable of {record.name} {'is' if changed else 'was'} {state}", err=True)
    return 0
