# SPDX-License-Identifier: MIT
"""`python3 run ssh`."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from run import labs, ssh
from run.errors import RunError


@click.command("ssh", context_settings={"ignore_unknown_options": False})
@click.option("--name", metavar="LAB", help="The lab; default: the only one that runs.")
@click.argument("guest", metavar="N")
@click.argument("words", metavar="[-- CMD...]", nargs=-1, type=click.UNPROCESSED)
def command(name: str | None, guest: str, words: tuple[str, ...]) -> int:
    """A root shell in guest N (1, 2, or its name), or one command there.

    What follows -- is joined by spaces and read by the guest's shell, as ssh does.
    Standard input passes through.

    \b
    Examples:
      python3 run ssh 1
      python3 run ssh 2 -- 'cat /sys/kernel/debug/ntb_pingpong/*/count'
      python3 run ssh 1 -- 'cat > /tmp/file' < file

    Exit code: that of the command; 255 if the connection fails; 1 if the guest does not run.
    """
    record = labs.running_guest(name, guest)
    if record.ssh_port is None:
        raise RunError(
            f"{record.name} has no port forwarded to its ssh",
            hint=f"'python3 run console {guest}' reaches it without network",
        )
    argv = ssh.argv(record.ssh_port, words)
    if not words and sys.stdin.isatty():
        os.execv(argv[0], argv)
    code = subprocess.run(argv, check=False).returncode
    return code if code >= 0 else 128 - code
