# SPDX-License-Identifier: MIT
"""A postmortem as text, the page that a person reads first, and as JSON.

Verdicts first; then of each guest its stacks and log, and only then what it is; then the link.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from ntbdbg.analysis.postmortem import Condition
from ntbdbg.render.events import event_facts, event_line
from ntbdbg.render.table import facts_table
from ntbdbg.render.text import printable
from ntbdbg.render.verdicts import VerdictLines, verdict_facts, verdict_lines
from ntbdbg.render.windows import WindowMap

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from ntbdbg.analysis.postmortem import GuestStory, LinkStory, Notable, Postmortem

STYLES = {
    Condition.RUNNING: "bold green",
    Condition.PAUSED: "bold yellow",
    Condition.HUNG: "bold yellow",
    Condition.PANICKED: "bold red",
    Condition.DEAD: "bold red",
    Condition.UNKNOWN: "bold",
}


class PostmortemView:
    """All of it: guests, the link, what differs.

    :param log_lines: of each guest's last messages, how many
    """

    def __init__(self, story: Postmortem, *, log_lines: int = 12) -> None:
        self.story = story
        self.log_lines = log_lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        story = self.story
        yield VerdictLines(story.verdicts)
        for guest in sorted(story.guests, key=self._rank):
            yield Text()
            yield from self._guest(guest)
        yield Text()
        yield from _link(story.link)
        if story.differences:
            yield Text()
            yield Text("what differs between the guests", style="bold")
            yield from _indented(_words(story.differences))
        yield Text()
        yield Text(printable(story.source), style="bold")
        yield _facts(story.facts)

    def _rank(self, guest: GuestStory) -> int:
        """Those that the worst is told of come first."""
        order = [verdict.who for verdict in self.story.verdicts]
        return order.index(guest.name) if guest.name in order else len(order)

    def _guest(self, guest: GuestStory) -> Iterator[RenderableType]:
        title = Text(f"{printable(guest.name)}: ", style="bold")
        yield title.append(guest.condition.value, style=STYLES[guest.condition])
        yield from verdict_lines(self.story.verdicts, guest.name)
        yield from _indented(_words(guest.problems, style="red"))
        for one in (*guest.cpus, *guest.stuck):
            yield from _stack(one)
        shown = guest.besides[-self.log_lines :] if self.log_lines else []
        other = " besides" if guest.besides != guest.dmesg else ""
        yield from _part(f"last messages{other}", _words(shown, style="dim"))
        yield from _part("panic, as logged", _words(guest.panic))
        yield _facts(guest.facts)


def _stack(one: Notable) -> Iterator[RenderableType]:
    stack, trace = one.stack, one.stack.trace
    state = f" [{stack.state}]" if stack.state else ""
    title = Text(printable(f"{stack.title}{state}"), style="bold")
    if one.why:
        title.append(f"  {printable(one.why)}", style="not bold yellow")
    yield from _indented([title])
    yield from _indented(_words(trace.names), 6)
    yield from _indented(_words([trace.problem] if trace.problem else [], style="red"), 6)


def _link(story: LinkStory) -> Iterator[RenderableType]:
    link = story.link
    if link is None:
        yield Text(f"link: {printable(story.problem)}", style="bold red")
        return
    yield Text("link", style="bold")
    for finding in story.findings:
        name = story.names.get(finding.partition, f"partition {finding.partition}")
        style = "red" if finding.wrong else "yellow"
        yield from _indented([Text(printable(f"{name}: {finding.text}"), style=style)])
    for guest, text in story.disagreements:
        words = f"{guest}: driver against device: {text}"
        yield from _indented([Text(printable(words), style="red")])
    yield from _indented(_words(story.good_news))
    used = [window for window in link.windows if window.is_open or window.size]
    if used:
        yield Padding(WindowMap(link, used, story.names), (0, 0, 0, 2), expand=False)
    yield from _events(story)


def _events(story: LinkStory) -> Iterator[RenderableType]:
    if story.unrecorded:
        yield from _indented(_words([f"what happened before: {story.unrecorded}"], style="dim"))
    if story.recorded is None:
        return
    lines = [event_line(event, story.recorded).styled() for event in story.last_events]
    yield from _part(f"the last {len(lines)} events before", lines)


def _facts(facts: Iterable[tuple[str, str]]) -> RenderableType:
    table = facts_table((Text(name, "dim"), printable(text)) for name, text in facts)
    return Padding(table, (0, 0, 0, 2), expand=False)


def _part(title: str, lines: Iterable[Text]) -> Iterator[RenderableType]:
    found = list(lines)
    if found:
        yield from _indented([Text(title, style="bold")])
        yield from _indented(found, 4)


def _words(lines: Iterable[str], style: str = "") -> Iterator[Text]:
    return (Text(printable(line), style=style) for line in lines)


def _indented(lines: Iterable[Text], by: int = 2) -> Iterator[RenderableType]:
    return (Padding(line, (0, 0, 0, by), expand=False) for line in lines)


def postmortem_facts(story: Postmortem) -> dict[str, Any]:
    """The document of ``postmortem --json`` (docs/json.md)."""
    return {
        "verdicts": verdict_facts(story.verdicts),
        "source": story.source,
        "facts": dict(story.facts),
        "guests": [_guest_facts(guest) for guest in story.guests],
        "link": _link_facts(story.link),
        "differences": list(story.differences),
        "notes": list(story.notes),
    }


def _guest_facts(guest: GuestStory) -> dict[str, Any]:
    return {
        "name": guest.name,
        "condition": guest.condition.value,
        "why": list(guest.why),
        "facts": dict(guest.facts),
        "panic": list(guest.panic),
        "cpus": [_stack_facts(one) for one in guest.cpus],
        "stuck": [_stack_facts(one) for one in guest.stuck],
        "dmesg": list(guest.dmesg),
        "problems": list(guest.problems),
    }


def _stack_facts(one: Notable) -> dict[str, Any]:
    return {
        "title": one.stack.title,
        "state": one.stack.state,
        "why": one.why,
        "frames": list(one.stack.trace.names),
        "problem": one.stack.trace.problem,
    }


def _link_facts(story: LinkStory) -> dict[str, Any]:
    names = story.names
    return {
        "problem": story.problem,
        "findings": [
            {
                "guest": names.get(finding.partition),
                "partition": finding.partition,
                "text": finding.text,
                "wrong": finding.wrong,
            }
            for finding in story.findings
        ],
        "compared": list(story.compared),
        "disagreements": [{"guest": guest, "text": text} for guest, text in story.disagreements],
        "events": [event_facts(event, story.recorded) for event in story.last_events]
        if story.recorded
        else None,
        "unrecorded": story.unrecorded,
    }
