# SPDX-License-Identifier: MIT
"""`python3 run ssh`."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from run.base.errors import UsageError
from run.cli.params import LAB_OPTIONS, lab_option
from run.lab import choose as labs
from run.reach import ssh


class _Ssh(click.Command):
    """Options end where the guest's command begins: ``-r`` in ``uname -r`` is uname's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.separated(args))

    @staticmethod
    def separated(args: list[str]) -> list[str]:
        """The same words with ``--`` before those of the guest's command."""
        at = _command_begins(args)
        return args if "--" in args[:at] else [*args[:at], "--", *args[at:]]


def _command_begins(args: list[str]) -> int:
    """How many words are ours: options wherever they stand, and the guest."""
    at, guest = 0, False
    while at < len(args):
        word = args[at]
        if word == "--":
            return at + 1
        if not word.startswith("-"):
            if guest:
                return at
            guest = True
        at += 2 if word in LAB_OPTIONS else 1
    return len(args)


@click.command("ssh", cls=_Ssh)
@lab_option
@click.option(
    "-A", "--agent", is_flag=True, help="Let the guest use the keys of this user's ssh-agent."
)
@click.argument("guest", metavar="N")
@click.argument("words", metavar="[CMD...]", nargs=-1, type=click.UNPROCESSED)
def command(name: str | None, agent: bool, guest: str, words: tuple[str, ...]) -> int:
    """A root shell in guest N (1, 2, or its name), or one command there.

    The command's words are joined by spaces and read by the guest's shell, as ssh does; -- may
    stand before them. On a terminal the command has one, too; else standard input passes through.

    \b
    Examples:
      python3 run ssh 1
      python3 run ssh 1 uname -r
      python3 run ssh 1 top
      python3 run ssh 2 -- 'cat /sys/kernel/debug/ntb_pingpong/*/count'
      python3 run ssh 1 -- 'cat > /tmp/file' < file
      python3 run ssh -A 1                    to go on from there by one's own keys

    Exit code: that of the command; 255 if the connection fails; 1 if the guest does not run
    or is paused.
    """
    if agent and not os.environ.get("SSH_AUTH_SOCK"):
        raise UsageError("there is no ssh-agent here", hint="eval $(ssh-agent); ssh-add")
    _, port = labs.reachable_guest(name, guest)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    argv = ssh.argv(port, words, tty=bool(words) and terminal, agent=agent)
    if sys.stdin.isatty() and (terminal or not words):
        os.execv(argv[0], argv)
    code = subprocess.run(argv, check=False).returncode
    return code if code >= 0 else 128 - code
