# SPDX-License-Identifier: MIT
"""Doorbell round trips with the link's flight recorder, beside those without it.

Two pairs of guests, one with x-record=off, take turns; the one that has not its turn stands still.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import lab as guests
from tests.bench.bench_doorbell import load, round_trips
from tests.bench.result import Result, at_least, tell
from tests.vm.support import Lab

ROUNDS = 15
BUDGET = 0.97


def turn(lab: Lab) -> float:
    """Round trips a second of one pair, while the other stands still."""
    lab.ntbdbg("resume")
    try:
        return round_trips(lab, "ntb")
    finally:
        lab.ntbdbg("freeze")


def compare(recording: Lab, silent: Lab) -> int:
    """Gives the exit code."""
    for lab in (recording, silent):
        lab.ntbdbg("freeze")
        turn(lab)  # the first warms up
    rounds = [(turn(recording), turn(silent)) for _ in range(ROUNDS)]
    for lab in (recording, silent):
        lab.ntbdbg("resume")
    ours, theirs = (statistics.median(values) for values in zip(*rounds, strict=True))
    # Of neighbours in time: what else the host does changes from round to round.
    ratio = statistics.median(a / b for a, b in rounds)
    budget, holds = at_least(BUDGET, ratio)
    what = "doorbell round trips, recorded"
    against = "x-record=off"
    return tell(Result(what, f"{ours:.0f}/s", against, f"{theirs:.0f}/s", ratio, budget, holds))


if __name__ == "__main__":
    with guests.scratch() as folder:
        built = guests.module(folder, "bell")
        off = "--ivshmem-common-opts=x-record=off"
        with (
            guests.lab(folder, name="on") as recording,
            guests.lab(folder, off, name="off") as silent,
        ):
            for lab in (recording, silent):
                load(lab, built)
            code = compare(recording, silent)
    sys.exit(code)
