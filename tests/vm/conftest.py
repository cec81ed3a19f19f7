# SPDX-License-Identifier: MIT
"""Labs of real guests. They are shared by modules where they can: a boot takes longer than tests.

Without a QEMU or a guest build these tests fail: they are never skipped.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from run.demo import tool
from tests.vm.shared import NUMBERS, PAIR, TOOL, SharedLabs
from tests.vm.support import Lab

StartLab = Callable[..., Lab]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def runtime() -> Iterator[Path]:
    """A runtime folder of these tests; its short name leaves room for those of sockets."""
    folder = Path(tempfile.mkdtemp(prefix="vm-"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def labs_in(runtime: Path) -> Iterator[StartLab]:
    """Makes labs that are not started, and stops at last those that were."""
    labs: list[Lab] = []

    def make(*options: str, kind: str = "vms") -> Lab:
        lab = Lab(runtime, f"test-{next(_numbers)}", options, kind)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.stop("--no-keep-ram", "--quiet")


@pytest.fixture(scope="session")
def shared_labs(runtime: Path) -> Iterator[SharedLabs]:
    """For modules that leave a lab as they found it."""
    with labs_in(runtime) as make:
        shared = SharedLabs(make)
        yield shared
        shared.wake()


@pytest.fixture(scope="module")
def make_lab(runtime: Path) -> Iterator[StartLab]:
    """For modules that have a lab of their own, to start it their way or to break it."""
    with labs_in(runtime) as make:
        yield make


@pytest.fixture(scope="module")
def start_lab(make_lab: StartLab) -> StartLab:
    """Starts labs with the given options of `vms`; they are stopped after the module."""
    return lambda *options, **kind: make_lab(*options, **kind).start()


@pytest.fixture(scope="module")
def lab(shared_labs: SharedLabs) -> Iterator[Lab]:
    """Two linked guests, shared; a module with other wishes defines its own."""
    with shared_labs.lab(*PAIR) as lab:
        yield lab


@pytest.fixture(scope="module")
def tool_lab(shared_labs: SharedLabs) -> Iterator[Lab]:
    """The same with ntb_tool as the client; the link is up, and no window is open."""
    with shared_labs.lab(*TOOL) as lab:
        for number in NUMBERS:
            lab.sh(number, tool.LINK_UP)
        lab.until(lambda: all(lab.sh(n, tool.LINK_STATE) == "Y" for n in NUMBERS), timeout=60)
        yield lab
        for clear in (tool.CLEAR_WINDOW, tool.FREE_BUFFER):
            for number in NUMBERS:
                lab.ssh(number, clear)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Show the ends of the guests' logs with a test that failed."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Lab):
                report.sections.append((f"logs of lab {value.name}", value.tails()))
    return report
