# SPDX-License-Identifier: MIT
"""The whole suite: tests with guests beside all others, as two runs of pytest whose outcome is one.

Guests keep two processors busy while they boot and hardly one afterwards, other tests keep one
busy all the time: side by side they take two thirds of the time. Each run has its own order, which
one seed makes, and nothing of the other's; so the seed repeats both.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import ParseError

from run.base.config import CHECKOUT
from run.suites.junit import Case, cases

#: what is added to pytest's words: which tests
GUESTS, OTHERS = "vm", "not vm"

#: modules that are told at the end, those that took longest
SLOWEST = 15

LARGEST_SEED = 1 << 32


@dataclass(frozen=True)
class Part:
    """One run of pytest.

    :param marks: which tests, as pytest's -m
    :param folder: where its output and its results are put
    """

    name: str
    marks: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / f"tests-{self.name}.log"

    @property
    def results(self) -> Path:
        return self.folder / f"tests-{self.name}.xml"

    def argv(self, seed: int) -> list[str]:
        words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pyproject.toml")]
        words += ["-m", self.marks, f"--seed={seed}", f"--junitxml={self.results}"]
        return [*words, str(CHECKOUT / "tests")]


def run_whole(folder: Path, environment: Mapping[str, str], seed: int | None) -> int:
    """Run all tests; gives pytest's exit code, of the part that is worse off.

    :param folder: for logs and results
    :param seed: of an earlier run; None for another order
    """
    if seed is None:
        seed = random.SystemRandom().randrange(LARGEST_SEED)
    guests, others = Part("guests", GUESTS, folder), Part("others", OTHERS, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part in (guests, others):
        part.results.unlink(missing_ok=True)  # of an earlier run, should this one not come to it
    print(f"tests with guests run beside these; their output follows, and is in {guests.log}")
    codes = _side_by_side(guests, others, environment, seed)
    for line in summary([guests.results, others.results]):
        print(line)
    return max(codes)


def _side_by_side(
    guests: Part, others: Part, environment: Mapping[str, str], seed: int
) -> tuple[int, int]:
    # Whoever ends a service ends it thus, and what follows must not be left out.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with guests.log.open("wb") as output:
        aside = _start(guests.argv(seed), environment, output)
    running = [aside, _start(others.argv(seed), environment, None)]
    try:
        running[1].wait()
        _follow(guests.log, aside)
    finally:
        _end(running)
        signal.signal(signal.SIGTERM, before)
    return exit_code(aside), exit_code(running[1])


def _start(
    argv: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    """Start a part in a group of its own: Ctrl-C comes to it once, and from us."""
    return subprocess.Popen(
        argv,
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        process_group=0,
    )


def _end(parts: Sequence[subprocess.Popen[bytes]]) -> None:
    """Have those that still run stop their labs and go; whoever asks twice does not wait."""
    running = [part for part in parts if part.poll() is None]
    try:
        for part in running:
            part.send_signal(signal.SIGINT)
        for part in running:
            part.wait()
    except KeyboardInterrupt:
        for part in running:
            part.kill()
        raise


def _follow(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Show a file until the process that writes it ends."""
    with log.open(encoding="utf-8", errors="replace") as file:
        ended = False
        while not ended:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
            ended = process.poll() is not None
            print(file.read(), end="", flush=True)


def exit_code(ended: subprocess.CompletedProcess[bytes] | subprocess.Popen[bytes]) -> int:
    """As a shell tells it: 128 and the signal's number if one ended it."""
    return ended.returncode if ended.returncode >= 0 else 128 - ended.returncode


def summary(results: Sequence[Path]) -> Iterator[str]:
    """Where the time went, and how many tests there were."""
    found = [case for path in results for case in _cases(path)]
    spent: dict[str, float] = {}
    for case in found:
        spent[case.module] = spent.get(case.module, 0.0) + case.seconds
    yield "modules that took longest, in seconds"
    for module in sorted(spent, key=spent.__getitem__, reverse=True)[:SLOWEST]:
        yield f"{spent[module]:8.1f}  {module}"
    outcomes = Counter(case.outcome for case in found)
    yield ", ".join(f"{outcomes[kind]} {kind}" for kind in ("passed", "failed", "skipped"))


def _cases(path: Path) -> list[Case]:
    """The tests of a run; none if it ended before it wrote them down."""
    try:
        return list(cases(path))
    except (OSError, ParseError):
        return []
