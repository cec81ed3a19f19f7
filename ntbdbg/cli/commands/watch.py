# SPDX-License-Identifier: MIT
"""ntbdbg watch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ntbdbg.cli.addressed import addressed_argument, split_target
from ntbdbg.cli.linkpage import open_page, page_option
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import Finite, Parsed
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import UsageError
from ntbdbg.inspect.changes import LinkProbe, MemoryProbe, Probe
from ntbdbg.inspect.until import Until
from ntbdbg.inspect.watch import Ended, Watcher
from ntbdbg.units import format_size, parse_size

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

DEFAULT_LENGTH = 64
MAX_SIZE = 64 << 20
"""Bytes watched at once; a sample copies all of them."""

REFRESH = 0.1
"""Seconds between two pictures of the live view."""

EXAMPLES = [
    ("ntbdbg watch qemu1 0x1000 64", "64 bytes, live on a terminal, a line a change in a pipe"),
    ("ntbdbg watch qemu1 jiffies 8 --count 5", "a kernel variable, by its symbol"),
    ("ntbdbg watch --link", "doorbells, messages, masks, link state, translations"),
    ("ntbdbg watch qemu1 0x1000 4 qemu2:0x1000 4 --width 4", "two places, as 32-bit units"),
    ("ntbdbg watch qemu1 0x1000 --until 'u32==5' --freeze", "stop the lab when it becomes 5"),
    ("ntbdbg watch --link --count 10 --timeout 30 --json", "ten changes for a program, or fail"),
]


@lab_command("watch", examples=EXAMPLES, freezes=True)
@addressed_argument("[TARGET ADDR [LEN] [ADDR LEN]...]", required=False)
@click.option("--link", is_flag=True, help="Watch the NTB link.")
@page_option
@click.option(
    "--interval",
    type=Finite(0, 3600),
    default=0.05,
    show_default=True,
    metavar="SECONDS",
    help="Time between samples; 0: as fast as possible.",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N changes.")
@click.option("--timeout", type=Finite(0, 1e9), metavar="SECONDS", help="End after this long.")
@click.option(
    "--until",
    type=Parsed("condition", Until.parse),
    metavar="CONDITION",
    help="End when it holds: u32==5, u16be+8>=2, hex==00ff, qemu2.doorbell.status&1.",
)
@click.option(
    "-g",
    "--width",
    type=click.Choice(["1", "2", "4", "8"]),
    default="1",
    help="Show changes in whole units of this many bytes.",
)
@click.option("--lines", is_flag=True, help="A line a change, on a terminal too.")
def command(
    app: AppContext,
    words: tuple[str, ...],
    link: bool,
    page: str | None,
    interval: float,
    count: int | None,
    timeout: float | None,
    until: Until | None,
    width: str,
    lines: bool,
) -> ExitStatus:
    """Watch memory ranges of guests, or the link, for changes.

    After TARGET come pairs of ADDR and LEN (the last LEN may be left out: 64); an ADDR may
    name another guest (qemu2:0x1000). The condition of --until looks at the first range, or
    with --link at a field by the name under which its changes are printed. With --freeze
    all guests are stopped, and stay so, when the condition holds or the count is reached.

    What changes back between two samples is not seen: the rate and the longest gap are told
    at the end. Ends with 0 on Ctrl-C, --count and --until; with 1 when --timeout comes
    first (or, without those two, when nothing changed).
    """
    if app.freeze and until is None and count is None:
        raise UsageError("--freeze stops the lab on a hit", hint="say on which: --until or --count")
    probes = _probes(app, words, int(width), link, page)
    watcher = Watcher(
        probes,
        interval=interval,
        count=count,
        timeout=timeout,
        until=until.bind(probes) if until else None,
        heartbeat=REFRESH,
    )
    try:
        if app.json or lines or not app.is_terminal:
            _print_lines(app, watcher)
        else:
            _show_live(app, watcher, probes)
    except KeyboardInterrupt:
        pass
    finally:
        _tell_rate(app, watcher)
    return _finish(app, watcher, awaited=until is not None or count is not None)


def _probes(
    app: AppContext, words: tuple[str, ...], width: int, link: bool, page: str | None
) -> list[Probe]:
    probes: list[Probe] = list(_memory_probes(app, words, width)) if words else []
    if link and page is None:
        app.lab.refuse_capture("watched")
    if link or page:
        probes.append(LinkProbe(*open_page(app, page)))
    if not probes:
        raise UsageError("nothing to watch", hint="give TARGET and ADDR, or --link")
    return probes


def _memory_probes(app: AppContext, words: tuple[str, ...], width: int) -> list[MemoryProbe]:
    target, places = split_target(app, words, needed=1)
    if not places:
        raise UsageError(f"what of {target} is to be watched?", hint="give an ADDR after TARGET")
    sizes = [parse_size(word) for word in places[1::2]]
    sizes += [DEFAULT_LENGTH] * (len(places) % 2)
    if sum(sizes) > MAX_SIZE:
        raise UsageError(
            f"{format_size(sum(sizes))} are too much to watch at once",
            hint=f"{format_size(MAX_SIZE)} at most; 'ntbdbg diff' compares whole guests",
        )
    guest = app.guest(target)
    found = []
    for address, size in zip(places[::2], sizes, strict=True):
        place = guest.resolve(address, size)
        place.guest.lab.refuse_capture("watched")
        app.note_place(place, size)
        probe = MemoryProbe(place.guest.name, place.memory, place.address, size, width=width)
        found.append(probe)
    return found


def _print_lines(app: AppContext, watcher: Watcher) -> None:
    from ntbdbg.render.watch import change_facts, change_line

    start = None
    for sample in watcher:
        start = sample.monotonic if start is None else start
        for change in sample.changes:
            if app.json:
                app.emit("watch", change_facts(sample, change))
            else:
                app.write(change_line(sample, change, start))
        if sample.omitted and watcher.ended is not Ended.COUNT:
            app.note(f"sample {sample.number}: {sample.omitted} further changes are not shown")
        if sample.changes:
            sys.stdout.flush()


def _show_live(app: AppContext, watcher: Watcher, probes: list[Probe]) -> None:
    from rich.live import Live

    from ntbdbg.render.watchview import WatchView

    view = WatchView("watch, Ctrl-C ends it", probes)
    console = app.console()
    shown = 0.0
    try:
        # The alternate screen survives a resize, the last picture is left behind on the other.
        with Live(view, console=console, screen=True, auto_refresh=False) as live:
            for sample in watcher:
                view.update(sample, watcher.states, watcher.stats)
                if sample.monotonic - shown >= REFRESH or sample.number == 0:
                    live.refresh()
                    shown = sample.monotonic
    finally:
        console.print(view)


def _tell_rate(app: AppContext, watcher: Watcher) -> None:
    from ntbdbg.render.watch import stats_line

    if watcher.stats.samples:
        app.note(stats_line(watcher.stats))


def _finish(app: AppContext, watcher: Watcher, *, awaited: bool) -> ExitStatus:
    if app.json:
        from ntbdbg.render.watch import stats_facts

        ended = watcher.ended.name.lower() if watcher.ended else "interrupted"
        app.emit("watch-end", {"ended": ended, **stats_facts(watcher.stats)})
    if watcher.ended is Ended.TIMEOUT:
        missed = awaited or not watcher.stats.changes
        return ExitStatus.DIFFERENT if missed else ExitStatus.OK
    if app.freeze and watcher.ended is not None:
        stopped = ", ".join(app.lab.freeze()) or "no guest was running"
        app.note(f"stopped: {stopped}; 'ntbdbg resume' lets them go on")
    return ExitStatus.OK
