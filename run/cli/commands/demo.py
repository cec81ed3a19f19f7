# SPDX-License-Identifier: MIT
"""`python3 run demo`: the guided tour."""

from __future__ import annotations

import subprocess
import time

import click
from rich.console import Console

from run.base.config import CHECKOUT, Paths, launcher
from run.cli.building import install_options
from run.demo import scenes
from run.demo.stage import Stage
from run.host.install import Policy, require
from run.make.prepare import ALL
from run.steps.steps import Steps

LAB = "demo"


@click.command("demo")
@click.option("--build-dir", metavar="DIR", help="Folder for builds.  [default: ./build]")
@click.option("--keep", is_flag=True, help="Leave the two guests running at the end.")
@click.option("--ssh-port-base", default=7001, show_default=True, metavar="PORT")
@click.option("--console-port-base", default=8001, show_default=True, metavar="PORT")
@install_options
def command(
    build_dir: str | None,
    keep: bool,
    ssh_port_base: int,
    console_port_base: int,
    yes: bool,
    no_install: bool,
) -> None:
    """Everything from nothing, as a guided tour.

    Builds what is missing, boots two linked guests, watches, dumps, compares and changes their
    memory, and stops them. Each thing it shows is checked; it fails if reality differs.

    \b
    python3 run demo
    python3 run demo --keep        and go on by yourself: ntbdbg --lab demo ...
    """
    console = Console(highlight=False)
    stage = Stage(LAB, CHECKOUT, console)
    folder = [] if build_dir is None else ["--build-dir", build_dir]
    # all that is lacking at once: the guests are talked to by ssh
    policy = Policy.of(yes=yes, no_install=no_install)
    require(Steps(Paths.of(build_dir).logs), *ALL, "run", policy=policy)
    _launcher("build", *folder)

    started = time.monotonic()
    stage.scene("Boot")
    ports = ["--ssh-port-base", str(ssh_port_base), "--console-port-base", str(console_port_base)]
    _launcher("stop", "--name", LAB, "--quiet")
    _launcher("vms", "--name", LAB, "--detach", *ports, *folder)
    try:
        scenes.play(stage)
    finally:
        if not keep:
            stage.scene("Stop")
            _launcher("stop", "--name", LAB)
    took = time.monotonic() - started
    console.print(f"\nAll of it held. {took:.0f} seconds from boot to stop.", style="bold green")
    if keep:
        console.print(f"The guests still run: ntbdbg --lab {LAB} windows; python3 run stop")


def _launcher(*arguments: str) -> None:
    """Run a launcher command with its output in plain sight; its failure is ours."""
    code = subprocess.run([*launcher(), *arguments], check=False).returncode
    if code:
        raise click.exceptions.Exit(code)
