# SPDX-License-Identifier: MIT
"""`python3 run build`: QEMU with our device, and a guest."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from run.artifacts import GuestImage, QemuInstall
from run.builds import ALL, Request, make
from run.cli.building import build_options, install_options
from run.config import Paths
from run.host.install import Policy
from run.steps import Steps

#: what ``--build=`` takes; ``image`` is what the guest was called once
_SPELLINGS = {"all": ALL, "qemu": ("qemu",), "guest": ("guest",), "image": ("guest",)}


@click.command("build")
@click.argument("what", nargs=-1, type=click.Choice(sorted(ALL)), metavar="[qemu] [guest]")
@click.option(
    "--build", "chosen", type=click.Choice(list(_SPELLINGS)), help="Another way to say what."
)
@click.option("--force", is_flag=True, help="Compile everything anew, whatever the cache holds.")
@click.option(
    "--qemu-source",
    metavar="DIR|TARBALL|debian:SUITE[/VERSION]",
    help="QEMU source tree.  [default: the source package of Debian trixie]",
)
@build_options
@install_options
def command(
    what: tuple[str, ...],
    chosen: str | None,
    force: bool,
    qemu_source: str | None,
    build_dir: str | None,
    jobs: int,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
) -> None:
    """Build QEMU with our device, and a guest; without arguments both.

    What was built before from the same inputs comes from the cache. After an edit in qemu_src/
    only what depends on it is compiled. Full logs are in DIR/logs.

    \b
    python3 run build
    python3 run build qemu
    python3 run build qemu --qemu-source ~/src/qemu
    python3 run build qemu --qemu-source debian:sid/10.2
    """
    paths = Paths.of(build_dir)
    request = Request(
        what=[*what, *(_SPELLINGS[chosen] if chosen else ())] or ALL,
        jobs=jobs,
        force=force,
        qemu_source=qemu_source,
        mirror=debian_mirror,
        policy=Policy.of(yes=yes, no_install=no_install),
    )
    console = Console(highlight=False, soft_wrap=True)
    for result in make(Steps(paths.logs), paths, request):
        console.print(_summary(result), markup=False)
    console.print("next: python3 run vms", style="dim")


def _summary(result: QemuInstall | GuestImage) -> str:
    if isinstance(result, QemuInstall):
        return f"{result.version}: {result.qemu}"
    return f"guest with Linux {result.release}: {Path(result.kernel).parent}"
