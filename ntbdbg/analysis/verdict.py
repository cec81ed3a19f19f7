# SPDX-License-Identifier: MIT
"""What is to be told first of a guest or of the link: one sentence, and how bad it is."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

LINK = "link"
"""Who a verdict is about where it is about no guest."""


class Severity(enum.IntEnum):
    """How bad it is; of two verdicts the greater one is told first."""

    FINE = 0
    NOTABLE = 1
    UNKNOWN = 2
    """Nobody could look, so nobody can say that it is fine."""

    WARNED = 3
    WRONG = 4
    BROKEN = 5
    HUNG = 6
    DEAD = 7
    PANICKED = 8


@dataclass(frozen=True)
class Verdict:
    """One thing to be told.

    :ivar who: a guest's name, or `LINK`
    :ivar text: a clause that says it all in one line
    :ivar place: where in it: ``my_spin [my]``, ``mw0``; empty if there is no such place
    :ivar details: lines that belong to it: a trace; they are shown below all verdicts
    """

    severity: Severity
    who: str
    text: str
    place: str = ""
    details: tuple[str, ...] = ()


def worst_first(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The worst first; among equals as they came."""
    return tuple(sorted(verdicts, key=lambda verdict: -verdict.severity))


def heads(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The worst of each guest and of the link, the worst of all first."""
    found: dict[str, Verdict] = {}
    for verdict in worst_first(verdicts):
        found.setdefault(verdict.who, verdict)
    return list(found.values())


def about(verdicts: Iterable[Verdict], who: str) -> list[Verdict]:
    """All that is told of one of them, the worst first."""
    return [verdict for verdict in worst_first(verdicts) if verdict.who == who]
