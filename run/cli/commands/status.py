# SPDX-License-Identifier: MIT
"""`python3 run status`."""

from __future__ import annotations

import json
import time

import click

from run.base.config import spelt
from run.base.errors import RunError
from run.cli.params import LAB_OPTIONS, LAB_VARIABLE
from run.lab import choose as labs


@click.command("status")
@click.option(*LAB_OPTIONS, "name", metavar="LAB", envvar=LAB_VARIABLE, help="Only this lab.")
@click.option("--json", "as_json", is_flag=True, help='Print {"labs": […]}.')
def command(name: str | None, as_json: bool) -> int:
    """Show what runs, and how what ended ended.

    A guest that crashed or was killed is shown with its exit code or signal and its last lines,
    until `stop` or the next `vms`.

    \b
    Examples:
      python3 run status
      python3 run status --json

    Exit code: 0; 1 if a lab named by --name does not exist.
    """
    from run.cli.printing import TableConsole
    from run.cli.statusview import LabView
    from run.lab.status import gather

    console = TableConsole()
    found = []
    for lab in [name] if name else labs.names():
        try:
            found.append(gather(labs.load(lab)))
        except RunError as error:
            if name:
                raise
            click.echo(f"run: {error}", err=True)
    if as_json:
        click.echo(json.dumps({"labs": [lab.to_json() for lab in found]}, indent=2))
        return 0
    for lab_status in found:
        console.print(LabView(lab_status, time.time()))
    if not found:
        click.echo(spelt("no lab; 'python3 run vms' starts one"))
    return 0
