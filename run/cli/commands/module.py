# SPDX-License-Identifier: MIT
"""`python3 run module`: new, build, load, unload, reload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from run.base.config import Paths
from run.cli.building import IMAGES, build_options, kernel_choice, kernel_options
from run.cli.params import lab_option

FILE = click.Path(path_type=Path)


@click.group("module")
def command() -> None:
    """A kernel module of your own: from source into running guests.

    \b
    python3 run module new my_client            a client of the NTB that works, to begin with
    python3 run module build my_client          for the guests' kernel
    python3 run module load 1 my_client/my_client.ko
    """


@command.command("new")
@click.argument("folder", metavar="NAME|DIR", type=FILE)
def new(folder: Path) -> int:
    """Make a folder with the source of an NTB client, and a Makefile.

    What is written to /sys/kernel/debug/NAME in one guest is read from there in the other, by a
    memory window, a message and a doorbell.

    \b
    Examples:
      python3 run module new my_client
      python3 run module new ~/src/my_client
    """
    from run.make import module

    for path in module.new(folder):
        click.echo(path)
    click.echo(f"next: python3 run module build {folder}", err=True)
    return 0


@command.command("build")
@click.argument("folder", metavar="DIR", type=FILE)
@kernel_options
@build_options
def build(folder: Path, **given: Any) -> int:
    """Compile the modules in DIR for the guests' kernel.

    With that kernel's headers, what our NTB drivers export, and types (BTF), by which ntbdbg
    decodes their structures. NAME.ko keeps its debug information (DWARF); a guest that loads it
    gets it without.

    \b
    Examples:
      python3 run module build my_client
      python3 run module build my_client --kernel debian:bookworm-backports
      python3 run module build my_client --kernel ~/src/linux
    """
    from run.make.prepare import Request, own_modules
    from run.steps.steps import Steps

    paths = Paths.of(given["build_dir"])
    kernel = kernel_choice({**given, "image": IMAGES[0]})
    request = Request(jobs=given["jobs"], mirror=given["debian_mirror"], kernel=kernel)
    made = own_modules(Steps(paths.logs), paths, folder, request)
    for path in made:
        click.echo(path)
    click.echo(f"next: python3 run module load 1 {made[0]}", err=True)
    return 0


@command.command("load")
@lab_option
@click.argument("guest", metavar="N")
@click.argument("file", metavar="FILE.ko", type=FILE)
@click.argument("parameters", metavar="[PARAM=VALUE...]", nargs=-1)
def load(name: str | None, guest: str, file: Path, parameters: tuple[str, ...]) -> int:
    """Load FILE.ko into guest N (1, 2, or its name).

    An NTB device has one client: for a module that is one, the guest's own, as ntb_pingpong,
    gives way.

    \b
    Examples:
      python3 run module load 1 my_client/my_client.ko
      python3 run module load 2 my_client/my_client.ko debug=1

    Exit code: 0; 1 if the kernel refuses it, or it is for another kernel.
    """
    return _load(name, guest, file, parameters, again=False)


@command.command("reload")
@lab_option
@click.argument("guest", metavar="N")
@click.argument("file", metavar="FILE.ko", type=FILE)
@click.argument("parameters", metavar="[PARAM=VALUE...]", nargs=-1)
def reload(name: str | None, guest: str, file: Path, parameters: tuple[str, ...]) -> int:
    """As load, but the module is taken out first, if it is there.

    \b
    Examples:
      python3 run module reload 1 my_client/my_client.ko
    """
    return _load(name, guest, file, parameters, again=True)


@command.command("unload")
@lab_option
@click.argument("guest", metavar="N")
@click.argument("module", metavar="NAME|FILE.ko")
def unload(name: str | None, guest: str, module: str) -> int:
    """Take a module out of guest N (1, 2, or its name).

    \b
    Examples:
      python3 run module unload 1 my_client
    """
    from run.lab import choose as labs
    from run.reach import modules

    record, port = labs.reachable_guest(name, guest)
    called = Path(module).name.removesuffix(".ko").replace("-", "_")
    modules.unload(port, called, record.name)
    click.echo(f"{record.name}: {called} is unloaded", err=True)
    return 0


def _load(
    name: str | None, guest: str, file: Path, parameters: tuple[str, ...], *, again: bool
) -> int:
    from run.lab import choose as labs
    from run.reach import modules

    module = modules.Module.read(file)
    record, port = labs.reachable_guest(name, guest)
    module.check(record.kernel.release if record.kernel else None, record.name)
    if again:
        modules.unload(port, module.name, record.name, missing_ok=True)
    for client in modules.load(port, module, parameters, record.name):
        click.echo(f"{record.name}: {client} gave way, an NTB device has one client", err=True)
    click.echo(f"{record.name}: {module.name} is loaded", err=True)
    return 0
