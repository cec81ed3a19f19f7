# SPDX-License-Identifier: MIT
"""ntbdbg events."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from ntbdbg.cli.linkpage import open_page, page_option, partition_of
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import Parsed
from ntbdbg.cli.status import ExitStatus
from ntbdbg.cli.storylines import write_line
from ntbdbg.errors import UsageError
from ntbdbg.ntb.kindwords import parse_kinds
from ntbdbg.ntb.spans import parse_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.cli.context import AppContext
    from ntbdbg.ntb.recorder import Event
    from ntbdbg.ntb.sharedpage import SharedPage
    from ntbdbg.render.events import Line

POLL = 0.2
"""Seconds between two looks with --follow."""

EXAMPLES = [
    ("ntbdbg events", "everything that the ports of the link have recorded, in order"),
    ("ntbdbg events --kind doorbell,no-interrupt --since 5s", "doorbells of the last 5 seconds"),
    ("ntbdbg events -f --guest qemu2", "what happens at one port, until Ctrl-C"),
    ("ntbdbg events --dmesg --freeze", "with the kernels' logs between"),
    ("ntbdbg events hang.cap --json", "of a capture, for a program"),
    ("ntbdbg events good.cap bad.cap", "what happened in one and not in the other"),
]


class Look(NamedTuple):
    """Which events are shown.

    :ivar partitions: of these ports, None for all
    :ivar kinds: of these kinds, None for all
    :ivar since_ns: that went on after this moment of the host's CLOCK_MONOTONIC
    """

    partitions: frozenset[int] | None
    kinds: frozenset[int] | None
    since_ns: int = 0

    def of(self, story: Recorded) -> Iterable[Event]:
        return story.story.chosen(self.partitions, self.kinds, self.since_ns)


@lab_command("events", examples=EXAMPLES, freezes=True)
@click.argument("captures", metavar="[A.cap [B.cap]]", nargs=-1, type=click.Path())
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--guest", "guests", multiple=True, metavar="NAME", help="Only this port's.")
@click.option(
    "--kind",
    "kinds",
    type=Parsed("kinds", parse_kinds),
    metavar="KIND,…",
    help="Only these: doorbell, message, interrupt, wakeup, window, link, register, machine, or "
    "a single one by the word that --json gives it.",
)
@click.option(
    "--since",
    type=Parsed("span", parse_span),
    metavar="SPAN",
    help="Only the last 5s, 200ms, 2m: before now, in a capture before its last event.",
)
@click.option("--dmesg", is_flag=True, help="The guests' kernel logs between, on the same axis.")
@page_option
def command(
    app: AppContext,
    captures: tuple[str, ...],
    follow: bool,
    guests: tuple[str, ...],
    kinds: frozenset[int] | None,
    since: int | None,
    dmesg: bool,
    page: str | None,
) -> ExitStatus:
    """Tell what has happened on the link: one story of all ports, in the order of time.

    Each port writes its events into the shared page: doorbells, messages, interrupts or why there
    is none, windows, the link, registers, resets, standstills. Times are seconds of the host's
    CLOCK_MONOTONIC. Of two captures it shows what is in one story and not in the other.
    """
    _check(app, captures, follow, dmesg)
    if len(captures) == 2:
        from ntbdbg.cli.eventsdiff import compare

        return compare(app, captures[0], captures[1], guests, kinds)
    from ntbdbg.cli.commands.postmortem import lab_of

    lab_of(app, captures[0] if captures else None)
    source, names = open_page(app, page)
    names = names or {port.partition: f"port{port.number}" for port in source.link().ports}
    with app.stillness():
        story = _read(source, names)
        wanted = frozenset(partition_of(name, source.link(), names) for name in guests) or None
        look = Look(wanted, kinds, _begin(source, story, since))
        shown = _merged(app, story, look) if dmesg else _show(app, story, look.of(story))
    for note in story.story.notes(story.names):
        app.note(note)
    if follow:
        _follow(app, source, story, look)
    return ExitStatus.OK if shown or follow else _nothing(app, story)


def _check(app: AppContext, captures: tuple[str, ...], follow: bool, dmesg: bool) -> None:
    if len(captures) > 2:
        raise UsageError("three stories are too many", hint="name one capture, or two to compare")
    if follow and (app.freeze or captures or dmesg):
        raise UsageError(
            "--follow is for a lab that runs, and shows events alone",
            hint="leave out --freeze, --dmesg and captures",
        )
    if dmesg and len(captures) == 2:
        raise UsageError("two stories are compared without logs", hint="leave out --dmesg")


def _read(source: SharedPage, names: Mapping[int, str]) -> Recorded:
    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.ntb.story import read_story

    return Recorded(read_story(source), names)


def _begin(source: SharedPage, story: Recorded, since: int | None) -> int:
    """The moment from which on events are wanted, ns."""
    if since is None:
        return 0
    last = max((event.last_ns for event in story.story.events), default=0)
    return max(0, (time.monotonic_ns() if source.is_live else last) - since)


def _nothing(app: AppContext, story: Recorded) -> ExitStatus:
    app.note(f"none of {len(story.story.events)} recorded events is like that")
    return ExitStatus.DIFFERENT


def _show(app: AppContext, story: Recorded, events: Iterable[Event]) -> int:
    """Print events; gives their number."""
    from ntbdbg.render.events import event_facts, event_line

    count = 0
    for event in events:
        count += 1
        if app.json:
            app.emit("events", event_facts(event, story))
        else:
            write_line(app, event_line(event, story))
    return count


def _merged(app: AppContext, story: Recorded, look: Look) -> int:
    """Print events with the kernels' logs between; gives the number of both."""
    from ntbdbg.analysis.merged import guest_logs
    from ntbdbg.render.events import event_facts, event_line, log_facts, log_lines

    found: list[tuple[int, str, dict[str, object], list[Line]]] = []
    for event in look.of(story):
        lines = [event_line(event, story)]
        found.append((event.first_ns, "events", event_facts(event, story), lines))
    for log in guest_logs(app.lab, story, look.partitions or frozenset(story.names)):
        app.note(log.note())
        error = log.correlation.error_ns if log.correlation else None
        for ns, record in log.placed():
            if ns >= look.since_ns:
                facts = log_facts(record, log.guest, ns, error)
                found.append((ns, "events-log", facts, log_lines(record, log.guest, ns)))
    for _, kind, facts, lines in sorted(found, key=lambda one: one[0]):
        if app.json:
            app.emit(kind, facts)
            continue
        for line in lines:
            write_line(app, line)
    return len(found)


def _follow(app: AppContext, source: SharedPage, story: Recorded, look: Look) -> None:
    seen = {_mark(event) for event in story.story.events}
    try:
        while source.is_live and any(_alive(source)):
            sys.stdout.flush()
            time.sleep(POLL)
            app.look_again()
            story = _read(source, story.names)
            _show(app, story, [one for one in look.of(story) if _mark(one) not in seen])
            seen = {_mark(event) for event in story.story.events}
        app.note("no port has an owner any more, so nothing will be added")
    except KeyboardInterrupt:
        pass


def _mark(event: Event) -> tuple[int, int, int, int]:
    """What tells an event from all others, and from itself before something was folded into it."""
    return event.partition, event.lane, event.number, event.times


def _alive(source: SharedPage) -> Iterable[bool]:
    return (source.alive(source.read()) or {}).values()
