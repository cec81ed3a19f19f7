# SPDX-License-Identifier: MIT
"""`python3 run finish_qemu_devenv`."""

from __future__ import annotations

import click
from rich.console import Console

from run.base.config import CHECKOUT, Paths
from run.cli.building import image_option, option_of
from run.devenv.finish import Finished
from run.steps.steps import Steps


@click.command("finish_qemu_devenv")
@image_option
@click.option("--build-dir", metavar="DIR", help="Folder for builds.  [default: ./build]")
@click.option("--dry-run", is_flag=True, help="Say what would be written, write nothing.")
def command(image: str, build_dir: str | None, dry_run: bool) -> None:
    """Make patches of the development tree's commits, and bring its files into qemu_src.

    One patch in yocto_files for each commit, numbered and named by it; a patch that says the
    same as before keeps its bytes. New and changed files of the device go to qemu_src, hunks
    in QEMU's own files to qemu_src/patches. It refuses work that is not committed, and what was
    edited on both sides. The tree stays as it is.

    \b
    python3 run finish_qemu_devenv
    python3 run finish_qemu_devenv --dry-run
    """
    paths = Paths.of(build_dir)
    if image == "yocto":
        from run.devenv.yocto import finish_yocto as finish
    else:
        from run.devenv.quick import finish_quick as finish

    _tell(finish(Steps(paths.logs), paths, dry_run=dry_run), image, dry_run)


def _tell(finished: Finished, image: str, dry_run: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for path in finished.files:
        click.echo(path.relative_to(CHECKOUT))
    count = f"{finished.commits} commit{'s' * (finished.commits != 1)}"
    if not finished.files:
        console.print(f"{count}: patches and qemu_src say the same already")
        return
    console.print(f"{count}; {'would write' if dry_run else 'wrote'} the files above")
    if not dry_run:
        console.print(f"next: python3 run build --build=qemu{option_of(image)}", style="dim")
