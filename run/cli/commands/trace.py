# SPDX-License-Identifier: MIT
"""`python3 run trace`."""

from __future__ import annotations

import click

from run.cli.params import lab_option


@click.command("trace")
@lab_option
@click.argument("pattern", metavar="PATTERN")
@click.argument("what", metavar="on|off", type=click.Choice(["on", "off"]))
@click.argument("guest", metavar="[N]", required=False)
def command(name: str | None, pattern: str, what: str, guest: str | None) -> int:
    """Switch QEMU's own trace events on or off, of guest N (1, 2, or its name) or of all that run.

    They are written into the guest's log, whose path is told. PATTERN may have asterisks; put it
    in quotes. What the link did is recorded anyway, see 'ntbdbg events'; this is everything that
    the device does, each register access.

    \b
    Examples:
      python3 run trace 'idt_ntb_*' on
      python3 run trace '*ntb_win*' on 2
      python3 run trace 'idt_ntb_*' off

    Exit code: 0; 1 if a guest does not answer; 2 if no event has such a name.
    """
    from run.lab import choose as labs
    from run.lab.tracing import switch

    manifest = labs.choose(name)
    running = [one.name for one in manifest.guests if one.is_alive()]
    for one in [guest] if guest else running or [manifest.guests[0].name]:
        record = labs.running_guest(name, one)
        count = len(switch(record, pattern, on=what == "on"))
        click.echo(f"{record.name}: {count} trace events are {what}: {record.log}", err=True)
    return 0
