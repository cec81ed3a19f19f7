# SPDX-License-Identifier: MIT
"""What is told first: one line for each guest and for the link, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from ntbdbg.analysis.verdict import Severity, Verdict, about, heads
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

STYLES = {
    Severity.FINE: "green",
    Severity.NOTABLE: "green",
    Severity.UNKNOWN: "yellow",
    Severity.WARNED: "yellow",
}
"""The others are red."""


class VerdictLines:
    """One line each: the worst of each guest and of the link."""

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        self.verdicts = tuple(verdicts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for verdict in heads(self.verdicts):
            line = Text(f"{printable(verdict.who)}: ", "bold")
            line.append(printable(headline(self.verdicts, verdict)), f"not bold {style(verdict)}")
            for index, part in enumerate(line.wrap(console, options.max_width - 2)):
                yield Text("  ").append_text(part) if index else part


class VerdictsOfOne:
    """All that is told of one guest; an empty line behind it."""

    def __init__(self, verdicts: Iterable[Verdict], who: str) -> None:
        self.verdicts, self.who = tuple(verdicts), who

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield VerdictLines(self.verdicts)
        yield from verdict_lines(self.verdicts, self.who)
        yield Text()


def headline(verdicts: Iterable[Verdict], head: Verdict) -> str:
    """The verdict's text, and how many more bad ones there are of the same guest."""
    more = [v for v in about(verdicts, head.who) if v.severity > Severity.NOTABLE and v != head]
    return f"{head.text} (+{len(more)} more)" if more else head.text


def style(verdict: Verdict) -> str:
    """Its colour."""
    return STYLES.get(verdict.severity, "red")


def verdict_lines(verdicts: Iterable[Verdict], who: str) -> Iterator[RenderableType]:
    """All else of one guest: lines of the worst verdict, then the other bad ones with theirs."""
    for index, verdict in enumerate(about(verdicts, who)):
        if index and verdict.severity is not Severity.FINE:
            yield Padding(Text(printable(verdict.text), style(verdict)), (0, 0, 0, 2), expand=False)
        for line in verdict.details:
            yield Padding(Text(printable(line)), (0, 0, 0, 4), expand=False)


def verdict_facts(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The same for JSON (docs/json.md)."""
    return [
        {
            "severity": verdict.severity.name.lower(),
            "who": verdict.who,
            "text": verdict.text,
            "place": verdict.place,
            "details": list(verdict.details),
        }
        for verdict in verdicts
    ]
