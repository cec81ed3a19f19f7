# SPDX-License-Identifier: MIT
"""`python3 run stop`."""

from __future__ import annotations

from collections.abc import Callable

import click

from ntbdbg.lab.manifest import DEFAULT_LAB
from run.base.errors import UsageError
from run.cli.params import lab_option
from run.lab import choose as labs


@click.command("stop")
@click.argument("words", nargs=-1, metavar="[N]")
@lab_option
@click.option("--all", "everything", is_flag=True, help="All labs of this user.")
@click.option(
    "--keep-ram/--no-keep-ram", default=None, help="RAM files stay; default: as the start said."
)
@click.option("--quiet", is_flag=True, help="Say nothing if there is nothing to stop.")
def command(
    words: tuple[str, ...],
    name: str | None,
    everything: bool,
    keep_ram: bool | None,
    quiet: bool,
) -> int:
    """Stop a lab and clean up after it, or guest N alone (1, 2, or its name).

    Guest N is asked to power down, then ended; the others go on, and 'start N' starts it again.

    Of a lab all guests are asked so. Their processes, sockets and RAM files go; logs stay until
    the next start of that name. It also cleans up after a launcher that was killed. Of other
    labs nothing is touched.

    \b
    Examples:
      python3 run stop
      python3 run stop 2
      python3 run stop --name left
      python3 run stop --all
      python3 run stop --keep-ram      and look at what they left by ntbdbg

    Exit code: 0, also if nothing ran.
    """
    from run.lab.stop import stop

    def say(words: str) -> None:
        click.echo(words, err=True)

    if words:
        if len(words) > 1 or everything or keep_ram is not None:
            raise UsageError(
                "stop ends one guest, or a whole lab by its options",
                hint="'python3 run stop 2', or 'python3 run stop --lab NAME'",
            )
        return _stop_guest(name, words[0], say)
    if name is not None and everything:
        raise UsageError("--name and --all exclude each other")
    stopped = [stop(lab, keep_ram=keep_ram, say=say) for lab in _which(name, everything)]
    if not any(stopped) and not quiet:
        say("nothing to stop")
    return 0


def _stop_guest(name: str | None, guest: str, say: Callable[[str], None]) -> int:
    from run.lab.power import off

    manifest, record = labs.running_of(name, guest)
    say(f"stopping {record.name}")
    off(manifest, record, hard=False)
    say(f"{record.name} is stopped; 'python3 run start {guest}' starts it again")
    return 0


def _which(name: str | None, everything: bool) -> list[str]:
    if name is not None:
        return [name]
    if everything:
        return labs.folders()
    known = labs.names()
    if len(known) == 1:
        return known
    if len(known) > 1 and DEFAULT_LAB not in known:
        raise UsageError(f"there are several labs: {', '.join(known)}", hint="--name or --all")
    return [DEFAULT_LAB]
