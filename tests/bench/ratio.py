# SPDX-License-Identifier: MIT
"""Benchmarks as ratios: two commands take turns, so that a busy machine slows both alike.

    python3 tests/bench/bench_startup.py [ROUNDS]

prints what each one took, the ratio of the medians, and the budget; the exit code is 1 if
the budget is exceeded. These are no tests: nothing here runs by itself.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.result import PROCESSOR, WALL, Result, at_most, tell

CHECKOUT = Path(__file__).parents[2]
Work = Callable[[], object]


class Contest(NamedTuple):
    """`ours` must take at most `budget` times what `theirs` takes.

    :param clock: `WALL`, or `PROCESSOR` time of whole processes: for what one of them does alone
    """

    name: str
    ours: Work
    theirs: Work
    budget: float
    clock: str = WALL


def run(contests: Sequence[Contest], rounds: int = 11) -> int:
    """Run all contests, print the results; gives the exit code."""
    if len(sys.argv) > 1:
        rounds = int(sys.argv[1])
    return max([_run(contest, rounds) for contest in contests], default=0)


def process(
    *argv: str | Path, env: Mapping[str, str] | None = None, output: Path | None = None
) -> Work:
    """A command to be timed as a whole process, writing to `output`, or else to a pipe.

    Not to /dev/null: grep and cmp stop early when they see that nobody looks.
    """
    words = [os.fspath(word) for word in argv]
    # Byte code must be cached, as it is for a user.
    clean = {k: v for k, v in (env or os.environ).items() if k != "PYTHONDONTWRITEBYTECODE"}

    def work() -> None:
        if output is None:
            subprocess.run(words, env=clean, capture_output=True, check=False)
            return
        with output.open("wb") as file:
            subprocess.run(words, env=clean, stdout=file, check=True)

    return work


def ntbdbg() -> list[str]:
    """The command as it is installed beside this interpreter."""
    script = Path(sys.executable).with_name("ntbdbg")
    return [str(script)] if script.exists() else [sys.executable, "-m", "ntbdbg"]


def need(*programs: str) -> None:
    """Stop with a word about it if a program to compare with is absent."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        sys.exit(f"to compare with: apt-get install {' '.join(missing)}")


def _run(contest: Contest, rounds: int) -> int:
    pairs = [_pair(contest, number) for number in range(rounds + 1)][1:]  # the first warms caches
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    # Of each round, as whatever else the machine does slows both of a round alike.
    ratio = statistics.median(mine / other for mine, other in pairs)
    what, _, against = contest.name.partition(" : ")
    values = (_ms(ours), against, _ms(theirs), ratio, *at_most(contest.budget, ratio))
    return tell(Result(what, *values, contest.clock))


def _pair(contest: Contest, number: int) -> tuple[float, float]:
    """Seconds of both in one round; they take turns in who is the first."""
    now = _processor_time if contest.clock == PROCESSOR else time.perf_counter
    if number % 2:
        theirs = _timed(contest.theirs, now)
        return _timed(contest.ours, now), theirs
    ours = _timed(contest.ours, now)
    return ours, _timed(contest.theirs, now)


def _timed(work: Work, now: Callable[[], float]) -> float:
    start = now()
    work()
    return now() - start


def _processor_time() -> float:
    """Seconds that processes which this one started, and which have ended, have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
