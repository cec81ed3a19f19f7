# SPDX-License-Identifier: MIT
"""ntbdbg search."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import COUNT, LENGTH
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import UsageError
from ntbdbg.inspect.search import search
from ntbdbg.inspect.value import is_raw, parse_pattern
from ntbdbg.lab.ranges import resolve_range
from ntbdbg.render.progress import Progress
from ntbdbg.render.search import context_dump, json_matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.cli.context import AppContext
    from ntbdbg.inspect.search import Match
    from ntbdbg.inspect.value import Pattern
    from ntbdbg.lab.place import GuestLike
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.segments import AddressRange

EXAMPLES = [
    ("ntbdbg search qemu1 'hex:de ad be ef'", "bytes, anywhere in RAM"),
    ("ntbdbg search qemu1 'str:Linux version' --limit 1", "the first occurrence of a text"),
    ("ntbdbg search qemu1 u64:0xffff888000000000 --align 8", "an aligned little-endian number"),
    ("ntbdbg search qemu1 're:NTB[0-9]+' --range 1M+16M", "a regular expression over bytes"),
    ("ntbdbg search qemu1 str:error --range _stext.._end", "in the kernel image, by its symbols"),
    ("ntbdbg search qemu1 utf16:Hello -c", "only how often"),
]


@lab_command("search", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET PATTERN")
@click.option(
    "--range",
    "within",
    metavar="RANGE",
    help="Where to look: A:B, A..B, A+LEN, or a symbol; A and B are addresses.  [default: all RAM]",
)
@click.option("--align", type=COUNT, default=1, metavar="N", help="Only multiples of N.")
@click.option("--limit", type=COUNT, metavar="N", help="Stop after N matches.")
@click.option("-c", "--count", "counts", is_flag=True, help="Print only how many there are.")
@click.option(
    "-C", "--context", type=LENGTH, default=0, metavar="N", help="Also show N bytes around each."
)
def command(
    app: AppContext,
    words: tuple[str, ...],
    within: str | None,
    align: int,
    limit: int | None,
    counts: bool,
    context: int,
) -> ExitStatus:
    """Find PATTERN in TARGET's RAM.

    PATTERN is hex:…, str:…, utf16:…, a number such as u32:5 or u64be:0x1234, @FILE, or re:…
    (Python's syntax over bytes; matches of up to 4 KiB). One line a match, in xxd's format,
    from the match on. Matches may lie across adjoining segments, never across a hole. In a range
    of virtual addresses, what is mapped of it is searched.
    """
    target, (text, *more) = target_and_words(app, words, "PATTERN", *["[…]"] * len(words))
    assert text is not None
    _refuse_loose(text, [word for word in more if word is not None])
    pattern = parse_pattern(text)
    with app.stillness(), Progress("search", app.is_terminal) as progress:
        area = _area(app, target, within)
        if counts and limit is None:
            from ntbdbg.inspect.counting import count

            span = area.span
            found = count(area.memory, pattern, within=span, align=align, progress=progress)
            _tell(app, area.guest.name, pattern, found)
            _note_left_out(app, area)
            return ExitStatus.OK if found else ExitStatus.DIFFERENT
        matches = search(
            area.memory, pattern, within=area.span, align=align, limit=limit, progress=progress
        )
        found = _print(app, area, pattern, matches, counts, limit, context, progress)
    if counts and not app.json:
        app.write(str(found))
    _note_left_out(app, area)
    if found == limit:
        app.note(f"stopped at --limit {limit}")
    return ExitStatus.OK if found else ExitStatus.DIFFERENT


class Area(NamedTuple):
    """Where is looked: in whose memory, and in which part of it."""

    guest: GuestLike
    memory: PhysicalMemory
    span: AddressRange | None


def _area(app: AppContext, target: str, within: str | None) -> Area:
    """What the command line means; the way to a range may lead through pointers and tables."""
    guest: GuestLike = app.guest(target)
    if within is None:
        app.note_tearing(guest)
        return Area(guest, guest.memory, None)
    place, memory, span = resolve_range(guest, within)
    if place.via:
        app.note_place(place, span.size)
        guest = place.guest
    app.note_tearing(guest)
    return Area(guest, memory, span)


def _note_left_out(app: AppContext, area: Area) -> None:
    app.note_left_out(area.guest.name, area.memory, *([area.span] if area.span else []))


def _print(
    app: AppContext,
    area: Area,
    pattern: Pattern,
    matches: Iterator[Match],
    counts: bool,
    limit: int | None,
    context: int,
    progress: Progress,
) -> int:
    """Print what is found; gives its number."""
    if app.json:
        return json_matches(app.out, area.guest.name, pattern, matches, counts, limit)
    found = 0
    for match in matches:
        found += 1
        if not counts:
            progress.clear()
            app.out.write(context_dump(area.memory, match, context, app.color))
    return found


def _refuse_loose(text: str, more: list[str]) -> None:
    """A shell takes a text with blanks apart."""
    if more:
        pattern = " ".join([text, *more])
        kind = "" if is_raw(text) else "str:"
        raise UsageError(
            f"what is {more[0]!r:.40}?",
            hint=f"a pattern with blanks goes into quotes: '{kind}{pattern:.60}'",
        )


def _tell(app: AppContext, guest: str, pattern: Pattern, found: int) -> None:
    if not app.json:
        app.write(str(found))
        return
    facts = {"guest": guest, "pattern": pattern.text, "matches": [], "count": found}
    app.emit("search", facts | {"complete": True})
