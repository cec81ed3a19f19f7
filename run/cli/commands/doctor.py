# SPDX-License-Identifier: MIT
"""`python3 run doctor`: what this host lacks, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.table import Table

from run.base.config import Paths
from run.cli.building import install_options
from run.cli.printing import TableConsole
from run.host.checkup import Finding, State, abilities, examine
from run.host.install import Policy, mend, require
from run.host.packages import NEEDS, lacking
from run.steps.steps import Steps

EXIT_HOST = 3

_MARKS = {
    State.OK: "[green]ok[/green]",
    State.NOTE: "[yellow]note[/yellow]",
    State.LACKING: "[bold red]lacking[/bold red]",
}


@click.command("doctor")
@click.option("--build-dir", metavar="DIR", help="Folder for builds.  [default: ./build]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@install_options
def command(build_dir: str | None, as_json: bool, yes: bool, no_install: bool) -> int:
    """Say what this host lacks, and how to mend it.

    Installs nothing unless told so by --yes. It ends with what can run. Exit code 3 if something
    is lacking that guests need; what tests, benchmarks and developers of QEMU want is only noted.

    \b
    python3 run doctor
    python3 run doctor --yes     installs the missing packages
    python3 run doctor --json
    """
    paths = Paths.of(build_dir)
    if yes and not no_install:
        require(Steps(paths.logs), *NEEDS, policy=Policy.ALWAYS)
    findings = examine(paths)
    command_line = mend(lacking(NEEDS))
    if as_json:
        report = {
            "findings": [asdict(finding) for finding in findings],
            "mend": command_line,
            "abilities": [asdict(ability) for ability in abilities(findings)],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        _show(findings, command_line)
    return EXIT_HOST if any(finding.state is State.LACKING for finding in findings) else 0


def _show(findings: list[Finding], command_line: str | None) -> None:
    console = TableConsole()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row(finding.subject, _MARKS[finding.state], finding.words)
    console.print(table)
    others = [f.mend for f in findings if f.state is State.LACKING and f.mend != command_line]
    commands = [
        command_line,
        *(c for c in others if c and "apt-get" not in c),
    ]
    if any(commands):
        console.print("\nthis mends it:", style="bold")
        for line in filter(None, commands):
            console.print(f"  {line}", soft_wrap=True, markup=False)
    elif all(finding.state is not State.LACKING for finding in findings):
        console.print("\nnothing is lacking", style="green")
    console.print()
    for ability in abilities(findings):
        words = f"lacks {', '.join(ability.lacks)}" if ability.lacks else "can run"
        console.print(f"{ability.commands}: {words}", markup=False)
