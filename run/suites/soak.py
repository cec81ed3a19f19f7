# SPDX-License-Identifier: MIT
"""The fault tests, many times over: which tests those are, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from run.suites.junit import cases

#: tests that repeat a fault as often as $NTBDBG_SOAK says
DEVICE = (
    "tests/device/test_faults.py",
    "tests/device/test_hostile.py",
    "tests/device/test_hotplug.py",
    "tests/device/test_server.py",
)
GUESTS = ("tests/vm/test_faults.py",)

REPETITIONS = "NTBDBG_SOAK"


@dataclass
class Fault:
    """All runs of one test function.

    :ivar seconds: of all runs together
    """

    name: str
    runs: int = 0
    failures: int = 0
    seconds: float = 0.0


def faults(report: Path) -> list[Fault]:
    """What a JUnit report of pytest's says, by test function, in order."""
    found: dict[str, Fault] = {}
    for case in cases(report):
        name = f"{case.module}: {case.name.partition('[')[0]}"
        fault = found.setdefault(name, Fault(name))
        fault.runs += 1
        fault.failures += case.outcome == "failed"
        fault.seconds += case.seconds
    return list(found.values())


def table(found: list[Fault], repetitions: int) -> str:
    """The same as a Markdown table."""
    lines = ["| fault | tests | failed | seconds |", "|---|---|---|---|"]
    lines += [f"| {f.name} | {f.runs} | {f.failures} | {f.seconds:.0f} |" for f in found]
    return f"Each fault {repetitions} times.\n\n" + "\n".join(lines) + "\n"
