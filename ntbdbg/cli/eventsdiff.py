# SPDX-License-Identifier: MIT
"""``ntbdbg events A.cap B.cap``: what has happened in one story and not in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ntbdbg
from ntbdbg.cli.status import ExitStatus
from ntbdbg.cli.storylines import write_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.cli.context import AppContext
    from ntbdbg.ntb.recorder import Event


def compare(
    app: AppContext, a: str, b: str, guests: tuple[str, ...], kinds: frozenset[int] | None
) -> ExitStatus:
    """Show it, by lines with - and + as diff(1) has them; times are of each one's own host."""
    from ntbdbg.analysis.recorded import recorded
    from ntbdbg.analysis.storydiff import differing
    from ntbdbg.render.events import event_facts, event_line

    with ntbdbg.open(a, notify=app.note) as first, ntbdbg.open(b, notify=app.note) as second:
        stories = [recorded(first), recorded(second)]
    for path, story in zip((a, b), stories, strict=True):
        for note in story.story.notes(story.names):
            app.note(f"{path}: {note}")
    chosen = [list(_of(story, guests, kinds)) for story in stories]
    count = 0
    for side, event in differing(*zip(stories, chosen, strict=True)):
        count += 1
        story = stories[side]
        if app.json:
            app.emit("events-diff", {"side": "ab"[side], **event_facts(event, story)})
        else:
            write_line(app, event_line(event, story), "-+"[side])
    if not count and not app.json:
        app.note(f"the same has happened in both: {len(chosen[0])} events")
    return ExitStatus.DIFFERENT if count else ExitStatus.OK


def _of(story: Recorded, guests: tuple[str, ...], kinds: frozenset[int] | None) -> Iterator[Event]:
    for event in story.story.chosen(kinds=kinds):
        if not guests or story.name(event.partition) in guests:
            yield event
