# SPDX-License-Identifier: MIT
"""What pytest writes down of each test: its results as a JUnit report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class Case:
    """A test that was run, or skipped.

    :ivar module: ``vm/test_faults``
    :ivar name: with its parameters in brackets
    :ivar outcome: ``passed``, ``failed`` or ``skipped``
    :ivar seconds: with what was made for it
    """

    module: str
    name: str
    outcome: str
    seconds: float


def cases(report: Path) -> Iterator[Case]:
    """All of a report's tests, in order."""
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        seconds = float(case.get("time", "0"))
        yield Case(module, case.get("name", ""), _outcome(case), seconds)


def _outcome(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"
