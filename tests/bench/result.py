# SPDX-License-Identifier: MIT
"""One line of what a benchmark found: for people, and for the table of `python3 run bench`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from run.suites.bench import RESULTS

WALL, PROCESSOR = "wall", "processor"


class Result(NamedTuple):
    """What was measured.

    :param what: ours
    :param against: what it is compared with; empty where it stands alone
    :param ours, theirs: values with their units
    :param ratio: of the two, None where there is nothing to compare
    :param budget: ``at most 1.3``, ``at least 0.95``; empty where none was promised
    :param holds: whether the budget is kept
    :param clock: what was compared: `WALL` or `PROCESSOR` time, empty where it is neither
    """

    what: str
    ours: str
    against: str = ""
    theirs: str = ""
    ratio: float | None = None
    budget: str = ""
    holds: bool = True
    clock: str = ""

    def line(self) -> str:
        name = f"{self.what} : {self.against}" if self.against else self.what
        values = self.ours
        if self.ratio is not None:
            values += f" / {self.theirs} = {self.ratio:5.2f}"
        values += f" {self.clock}" if self.clock else ""
        verdict = (
            f" ({self.budget})  {'ok' if self.holds else 'OVER BUDGET'}" if self.budget else ""
        )
        return f"{name:<58} {values}{verdict}"


def tell(result: Result) -> int:
    """Print a result, and note it where somebody collects them; 1 if it is over its budget."""
    print(result.line(), flush=True)
    if collected := os.environ.get(RESULTS):
        with Path(collected).open("a", encoding="utf-8") as file:
            file.write(json.dumps(result._asdict()) + "\n")
    return int(not result.holds)


def at_least(limit: float, value: float) -> tuple[str, bool]:
    """The `budget` and `holds` of a value that must not be less."""
    return f"at least {limit:g}", value >= limit


def at_most(limit: float, value: float) -> tuple[str, bool]:
    """The `budget` and `holds` of a value that must not be more."""
    return f"at most {limit:g}", value <= limit
