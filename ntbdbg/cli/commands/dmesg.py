# SPDX-License-Identifier: MIT
"""ntbdbg dmesg."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.cli.params import Parsed
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import FaultError, UsageError
from ntbdbg.render.dmesg import LEVELS, plain_lines, record_facts, styled

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.kernel.log.logtail import LogTail
    from ntbdbg.kernel.log.ring import KernelLog
    from ntbdbg.lab.guest import Guest

POLL = 0.2
"""Seconds between two looks with --follow."""

EXAMPLES = [
    ("ntbdbg dmesg qemu1", "everything that the kernel's log still holds"),
    ("ntbdbg dmesg qemu1 -f", "and what comes, until Ctrl-C"),
    ("ntbdbg dmesg qemu2 --level err,warn", "only errors and warnings"),
    ("ntbdbg dmesg qemu2 --level err+ --json", "errors and worse, for a program"),
]


def parse_levels(text: str) -> frozenset[int]:
    """``err,warn`` or ``warn+`` (and everything more urgent) to numbers."""
    found: set[int] = set()
    for word in text.split(","):
        name = word.strip().removesuffix("+")
        if name not in LEVELS:
            raise UsageError(f"no level {name!r}", hint=f"levels are {', '.join(LEVELS)}")
        level = LEVELS.index(name)
        found |= set(range(level + 1)) if word.strip().endswith("+") else {level}
    return frozenset(found)


class Look(NamedTuple):
    """Which records are shown, and how.

    :ivar levels: only these, None for all
    :ivar decoded: with facility, level and caller
    """

    levels: frozenset[int] | None
    decoded: bool


@lab_command("dmesg", examples=EXAMPLES, freezes=True)
@target_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option(
    "-l",
    "--level",
    "levels",
    type=Parsed("levels", parse_levels),
    metavar="LEVEL[+],…",
    help="Only these: emerg, alert, crit, err, warn, notice, info, debug; + means and worse.",
)
@click.option(
    "-x", "--decode", "decoded", is_flag=True, help="Facility, level and caller of each line."
)
def command(
    app: AppContext, target: str, follow: bool, levels: frozenset[int] | None, decoded: bool
) -> ExitStatus:
    """Show the kernel log of TARGET, from its RAM alone, as dmesg does in the guest.

    Needs no symbols and no types. Control characters are shown as \\x1b. A line that the
    kernel has not ended yet is shown as well. With --follow it goes on after a reboot.
    """
    from ntbdbg.kernel.log.logtail import LogTail

    if follow and app.freeze:
        raise UsageError("a frozen guest logs nothing", hint="--follow or --freeze, not both")
    guest = app.guest(target)
    tail = LogTail(guest.find_kernel)
    with app.stillness():
        log = tail.poll()
    if not log.records and not follow:
        raise _nothing(guest, log)
    look = Look(levels, decoded)
    shown = _show(app, log, look)
    if follow:
        _follow(app, guest, tail, look)
        return ExitStatus.OK
    if levels is not None and not shown:
        names = ", ".join(LEVELS[level] for level in sorted(levels))
        app.note(f"{guest.name}: none of its {len(log.records)} records has level {names}")
        return ExitStatus.DIFFERENT
    return ExitStatus.OK


def _nothing(guest: Guest, log: KernelLog) -> FaultError:
    """The error for a log without one record."""
    why = "; ".join(log.notes) or "it is empty"
    ring = guest.kernel.info.symbol("prb") or 0
    return FaultError(
        guest.name,
        ring,
        1,
        f"leads to a log without one record that can be read: {why}",
        hint="'ntbdbg search' may still find its text",
    )


def _follow(app: AppContext, guest: Guest, tail: LogTail, look: Look) -> None:
    try:
        while guest.is_live:
            sys.stdout.flush()
            time.sleep(POLL)
            app.look_again()
            _show(app, tail.poll(), look)
        app.note(f"{guest.name} does not run, so nothing will be added")
    except KeyboardInterrupt:
        pass


def _show(app: AppContext, log: KernelLog, look: Look) -> int:
    """Print the records of these levels; gives their number."""
    for note in log.notes:
        app.note(note)
    console = app.console() if app.color and not app.json else None
    wanted = [r for r in log.records if look.levels is None or r.level in look.levels]
    for record in wanted:
        if app.json:
            app.emit("dmesg", record_facts(record))
        elif console is not None:
            console.print(styled(record, decoded=look.decoded))
        else:
            for line in plain_lines(record, decoded=look.decoded):
                app.write(line)
    return len(wanted)
