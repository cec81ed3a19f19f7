# SPDX-License-Identifier: MIT
"""Labs of real guests. One is shared by the tests of a module where they can.

Without a QEMU or a guest build these tests fail: they are never skipped.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.support import Lab

StartLab = Callable[..., Lab]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def runtime() -> Iterator[Path]:
    """A runtime folder of these tests; its short name leaves room for those of sockets."""
    folder = Path(tempfile.mkdtemp(prefix="vm-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def make_lab(runtime: Path) -> Iterator[StartLab]:
    """Makes labs that are not started, and stops those that a test did start."""
    labs: list[Lab] = []

    def make(*options: str, kind: str = "vms") -> Lab:
        lab = Lab(runtime, f"test-{next(_numbers)}", options, kind)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.stop("--no-keep-ram", "--quiet")


@pytest.fixture(scope="module")
def start_lab(make_lab: StartLab) -> StartLab:
    """Starts labs with the given options of `vms`; they are stopped after the module."""
    return lambda *options, **kind: make_lab(*options, **kind).start()


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    """Two linked guests with the defaults; a module with other wishes defines its own."""
    return start_lab()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Show the ends of the guests' logs with a test that failed."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Lab):
                report.sections.append((f"logs of lab {value.name}", value.tails()))
    return report
