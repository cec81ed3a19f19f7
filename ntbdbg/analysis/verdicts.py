# SPDX-License-Identifier: MIT
"""All that is told first. A further finding is one function here: from a `Scene` to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ntbdbg.analysis.finders.givenback import given_back
from ntbdbg.analysis.finders.interrupts import interrupts
from ntbdbg.analysis.finders.link import link
from ntbdbg.analysis.finders.logged import logged
from ntbdbg.analysis.finders.spinning import spinning
from ntbdbg.analysis.finders.state import states
from ntbdbg.analysis.verdict import LINK, Severity, Verdict, worst_first
from ntbdbg.errors import NtbdbgError

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Scene

Finder = Callable[["Scene"], Iterable[Verdict]]

FINDERS: tuple[Finder, ...] = (spinning, logged, interrupts, states, given_back, link)
"""Of verdicts that are equally bad, those of an earlier one are told first."""


def verdicts(scene: Scene, finders: Iterable[Finder] = FINDERS) -> tuple[Verdict, ...]:
    """What all finders say, the worst first; one that cannot look says why."""
    return worst_first(verdict for finder in finders for verdict in _asked(finder, scene))


def _asked(finder: Finder, scene: Scene) -> Iterator[Verdict]:
    try:
        yield from finder(scene)
    except NtbdbgError as error:
        who = scene.guests[0].name if len(scene.guests) == 1 else LINK
        yield Verdict(Severity.UNKNOWN, who, f"not all could be looked at: {error.message}")
