# SPDX-License-Identifier: MIT
"""`python3 run COMMAND`: one file per command, imported when it is used."""

from __future__ import annotations

import importlib

import click

#: command name -> module that holds it, as attribute `command`
COMMANDS = {
    # "build": "run.cli.commands.build",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run or describe it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Build QEMU and a guest, start linked VMs, look after them."""
