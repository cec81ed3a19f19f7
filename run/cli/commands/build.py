# SPDX-License-Identifier: MIT
"""`python3 run build`: QEMU with our device, and a guest; or both by Yocto."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from run.base.config import Paths
from run.base.errors import UsageError
from run.cli.building import (
    build_options,
    image_option,
    install_options,
    kernel_choice,
    kernel_option,
    kernel_options,
    option_of,
)
from run.host.install import Policy
from run.make.prepare import ALL, Request, make
from run.steps.artifacts import GuestImage, QemuInstall
from run.steps.steps import Steps

#: what ``--build=`` takes; ``image`` is what the guest was called once
_SPELLINGS = {"all": ALL, "qemu": ("qemu",), "guest": ("guest",), "image": ("guest",)}

#: what a Yocto build calls them
_YOCTO = {"guest": "image", "qemu": "qemu"}


@click.command("build")
@click.argument(
    "what", nargs=-1, type=click.Choice([*sorted(ALL), "yocto"]), metavar="[qemu] [guest] | yocto"
)
@click.option(
    "--build", "chosen", type=click.Choice(list(_SPELLINGS)), help="Another way to say what."
)
@image_option
@kernel_options
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
    image: str,
    force: bool,
    qemu_source: str | None,
    build_dir: str | None,
    jobs: int,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
    **given: Any,
) -> None:
    """Build QEMU with our device, and a guest; without arguments both.

    `yocto`, or --image=yocto, builds both by kas and bitbake instead: the image of yocto_files
    with Linux 6.18, and QEMU 10.2. That takes 60 GiB and hours, says so first, and goes on where
    it was interrupted.

    What was built before from the same inputs comes from the cache. After an edit in qemu_src/
    only what depends on it is compiled. Full logs are in DIR/logs.

    \b
    python3 run build
    python3 run build qemu
    python3 run build qemu --qemu-source ~/src/qemu
    python3 run build qemu --qemu-source debian:sid/10.2
    python3 run build guest --kernel=debian:trixie
    python3 run build guest --kernel-flavour rt-amd64
    python3 run build yocto
    python3 run build --image=yocto --build=qemu
    """
    paths = Paths.of(build_dir)
    parts = [*what, *(_SPELLINGS[chosen] if chosen else ())]
    if "yocto" in parts:
        parts.remove("yocto")
        image = "yocto"
    request = Request(
        what=parts or ALL,
        jobs=jobs,
        force=force,
        qemu_source=qemu_source,
        mirror=debian_mirror,
        policy=Policy.of(yes=yes, no_install=no_install),
        kernel=kernel_choice({**given, "image": image}),
    )
    console = Console(highlight=False, soft_wrap=True)
    if image == "yocto":
        made = _by_yocto(paths, request)
    else:
        made = make(Steps(paths.logs), paths, request)
    for result in made:
        console.print(_summary(result), markup=False)
    option = option_of(image) or kernel_option(request.kernel)
    console.print(f"next: python3 run vms{option}", style="dim")


def _by_yocto(paths: Paths, request: Request) -> list[QemuInstall | GuestImage]:
    from run.yocto.build import build_yocto

    if request.qemu_source is not None or request.force:
        raise UsageError("--qemu-source and --force are for the quick build, not for bitbake")
    parts = [_YOCTO[part] for part in ALL if part in request.what]
    steps = Steps(paths.logs)
    return build_yocto(steps, paths, parts, jobs=request.jobs, policy=request.policy)


def _summary(result: QemuInstall | GuestImage) -> str:
    if isinstance(result, QemuInstall):
        return f"{result.version}: {result.qemu}"
    for note in result.notes:
        click.echo(f"run: {note}", err=True)
    return f"guest with Linux {result.release}: {Path(result.kernel).parent}"
