# SPDX-License-Identifier: MIT
"""`python3 run enter_qemu_devenv`."""

from __future__ import annotations

import click
from rich.console import Console

from run.base.config import Paths
from run.base.errors import UsageError
from run.cli.building import image_option, install_options, option_of
from run.devenv.enter import Entered
from run.devenv.state import listed
from run.host.install import Policy, require
from run.steps.steps import Steps


@click.command("enter_qemu_devenv")
@image_option
@click.option("--build-dir", metavar="DIR", help="Folder for builds.  [default: ./build]")
@click.option(
    "--qemu-source",
    metavar="DIR|TARBALL|debian:SUITE/VERSION",
    help="QEMU source, as for `build`.  [default: what `build qemu` takes]",
)
@click.option("--debian-mirror", metavar="URL", help="As for `build`.")
@install_options
def command(
    image: str,
    build_dir: str | None,
    qemu_source: str | None,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
) -> None:
    """Make a git tree of QEMU's source with our device in it, to develop in.

    The patches of yocto_files are commits there, and everything in qemu_src is in the last of
    them. Edit, commit, then finish_qemu_devenv. What a tree holds is never thrown away: with
    commits that were not finished this refuses; the tree of another source is put aside.

    \b
    python3 run enter_qemu_devenv
    python3 run enter_qemu_devenv --build-dir build_vm_image
    python3 run enter_qemu_devenv --image=yocto        by devtool, in the Yocto build
    """
    paths = Paths.of(build_dir)
    steps = Steps(paths.logs)
    policy = Policy.of(yes=yes, no_install=no_install)
    require(steps, "devenv", policy=policy)
    if image == "yocto":
        from run.devenv.yocto import enter_yocto

        if qemu_source is not None:
            raise UsageError("--qemu-source: with --image=yocto the recipe says which source")
        entered = enter_yocto(steps, paths, policy=policy)
    else:
        from run.devenv.quick import enter_quick

        entered = enter_quick(steps, paths, source=qemu_source, mirror=debian_mirror)
    _tell(entered, paths, image)


def _tell(entered: Entered, paths: Paths, image: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if entered.aside:
        console.print(f"the tree of another source is now {entered.aside}", markup=False)
    if entered.squashed:
        files = listed(entered.squashed)
        console.print(
            f"qemu_src knew more than the patches, squashed into the last: {files}", markup=False
        )
    if not entered.fresh:
        console.print("the tree is up to date already", markup=False)
    click.echo(entered.tree.relative_to(paths.build))
    console.print(
        f"that is in {paths.build}; edit and commit there, then:"
        f" python3 run finish_qemu_devenv{option_of(image)}",
        style="dim",
    )
