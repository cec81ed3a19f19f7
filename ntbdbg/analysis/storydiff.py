# SPDX-License-Identifier: MIT
"""Two stories of the flight recorder, compared by what happened, whenever it did."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.ntb.recorder import Event


def differing(
    a: tuple[Recorded, Sequence[Event]], b: tuple[Recorded, Sequence[Event]]
) -> Iterator[tuple[int, Event]]:
    """Events that one of both has alone: 0 or 1 for which, and the event, in order.

    What was folded counts once: how often a peer did something is chance.
    """
    likes = [[story.likeness(event) for event in events] for story, events in (a, b)]
    matcher = SequenceMatcher(None, likes[0], likes[1])
    for op, i, i_end, j, j_end in matcher.get_opcodes():
        if op != "equal":
            yield from ((0, event) for event in a[1][i:i_end])
            yield from ((1, event) for event in b[1][j:j_end])
