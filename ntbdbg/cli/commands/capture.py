# SPDX-License-Identifier: MIT
"""ntbdbg capture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import click

from ntbdbg import __version__
from ntbdbg.capture.taking.making import Making
from ntbdbg.capture.taking.panic import PanicWait
from ntbdbg.capture.taking.schedule import Ring, Schedule
from ntbdbg.capture.taking.take import Options, Taken, take
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import Finite
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import UsageError
from ntbdbg.render.capture import taken_facts, taken_line
from ntbdbg.render.progress import Progress

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

DEFAULT_KEEP = 10

EXAMPLES = [
    ("ntbdbg capture before.cap", "both guests, registers and the link, at one moment"),
    ("ntbdbg capture before.cap --pack", "the same as one compressed file"),
    ("ntbdbg capture panic.cap --on-panic", "wait, and capture when a guest panics"),
    ("ntbdbg capture ring.cap --every 60 --keep 5", "ring-0001.cap, …: the last five minutes"),
    ("ntbdbg --from before.cap windows", "any command on it, also when the guests are gone"),
    ("ntbdbg diff before.cap:qemu1 qemu1", "what changed since"),
]


@lab_command("capture", examples=EXAMPLES)
@click.argument("path", metavar="OUT.cap", type=click.Path())
@click.option("--pack", is_flag=True, help="One compressed file instead of a folder.")
@click.option("--guests", metavar="NAME,…", help="Only these; all are stopped for it all the same.")
@click.option("--force", is_flag=True, help="Replace a capture of that name.")
@click.option(
    "--no-freeze", is_flag=True, help="Stop nobody, for a QEMU that does not answer; may be torn."
)
@click.option("--on-panic", is_flag=True, help="Wait until a guest panics, or its QEMU ends.")
@click.option(
    "--every",
    type=Finite(1, 1e7),
    metavar="SECONDS",
    help="Take one after the other: OUT-0001.cap, OUT-0002.cap, …",
)
@click.option(
    "--keep",
    type=click.IntRange(1, 9999),
    metavar="N",
    help="With --every: how many of them stay.  [default: 10]",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="With --every: end after N.")
@click.option("--timeout", type=Finite(0, 1e9), metavar="SECONDS", help="Wait no longer than that.")
def command(
    app: AppContext,
    path: str,
    pack: bool,
    guests: str | None,
    force: bool,
    no_freeze: bool,
    on_panic: bool,
    every: float | None,
    keep: int | None,
    count: int | None,
    timeout: float | None,
) -> ExitStatus:
    """Preserve guests, their registers and the link, at one moment, as OUT.cap.

    RAM is copied while the guests run; they stand still only while what changed since is
    found and copied. Every command works on the result: ntbdbg --from OUT.cap COMMAND.

    --on-panic waits: for what pvpanic tells the launcher, and for the kernel's own state in
    RAM. With --every too, there are captures from before the panic. A ring without
    --on-panic ends by --count, --timeout or Ctrl-C, all with exit code 0.
    """
    chosen = guests.split(",") if guests else None
    options = Options(guests=chosen, pack=pack, freeze=not no_freeze, replace=force)
    waits = on_panic or every is not None
    if every is None and (keep or count):
        raise UsageError("--keep and --count are about --every", hint="say --every SECONDS")
    if timeout is not None and not waits:
        raise UsageError("--timeout without waiting", hint="say --on-panic or --every SECONDS")
    if not waits:
        capture_once(app, path, options)
        return ExitStatus.OK
    ring = Ring(path, keep or DEFAULT_KEEP) if every is not None else None
    return _wait(app, path, options, ring, Wait(on_panic, every, count, timeout))


def capture_once(app: AppContext, path: str, options: Options) -> None:
    """Take one, and tell."""
    with Steps(app) as steps:
        taken = take(app.lab, path, options, steps, f"ntbdbg {__version__}")
    show(app, taken)


class Wait(NamedTuple):
    """What is waited for."""

    on_panic: bool
    every: float | None
    most: int | None
    timeout: float | None


def _wait(
    app: AppContext, path: str, options: Options, ring: Ring | None, wait: Wait
) -> ExitStatus:
    Making(path, replace=options.replace)  # a bad name is told before the wait, not after it
    panic = PanicWait(app.open_lab) if wait.on_panic else None
    schedule = Schedule(every=wait.every, panic=panic, count=wait.most, timeout=wait.timeout)
    if wait.on_panic:
        app.note(f"waiting until one of {', '.join(app.lab.names)} panics, or its QEMU ends")
    try:
        for due in schedule:
            if wait.on_panic and not schedule.missed:
                app.note(due.reason)
            app.close()  # the lab as it is now, not as it was when the wait began
            where = ring.next_path() if ring else path
            capture_once(app, where, options._replace(reason=due.reason))
            sys.stdout.flush()
            if ring:
                ring.prune()
    except KeyboardInterrupt:
        if wait.on_panic:
            raise
    finally:
        if panic:
            panic.close()
    return ExitStatus.DIFFERENT if schedule.missed else ExitStatus.OK


def show(app: AppContext, taken: Taken) -> None:
    """Print what was captured."""
    capture = taken.manifest.capture
    for note in capture.notes if capture else ():
        app.note(note)
    if app.json:
        app.emit("capture", taken_facts(taken))
    else:
        app.write(taken_line(taken))


class Steps:
    """A progress bar for each step, one after the other; for people at a terminal."""

    def __init__(self, app: AppContext) -> None:
        self._enabled = not app.json
        self._bar: Progress | None = None

    def __call__(self, label: str) -> Callable[[int, int], None]:
        self.__exit__()
        self._bar = Progress(label, self._enabled)
        return self._bar

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.clear()
            self._bar = None
