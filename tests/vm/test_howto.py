# SPDX-License-Identifier: MIT
"""The how-tos, pasted line by line: every line works, and shows what the page shows."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from run.guest.choice import DebianKernel
from tests.support import tour
from tests.vm.kerneltree import lay_out
from tests.vm.support import BROKEN, CHECKOUT, START_TIMEOUT, Lab

pytestmark = [pytest.mark.vm, pytest.mark.in_order]

STEPS = "Step by step"
LINES = tour.read(CHECKOUT / "docs/howto/run-my-kernel.md", STEPS)

#: with what it takes to boot on a busy machine
STARTED = "--boot-timeout=350"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tour.Shell]:
    """In a folder that has of a checkout what the page uses, and beside it the reader's kernel."""
    folder = tmp_path_factory.mktemp("howto")
    (folder / "run").symlink_to(CHECKOUT / "run")
    (folder / ".venv").symlink_to(sys.prefix)
    lay_out(folder / "linux", DebianKernel())
    with TemporaryDirectory(prefix="howto-") as runtime:
        lab = Lab(Path(runtime), "default")
        with closing(tour.Shell(folder, lab.environ)) as shell:
            yield shell
            shell.run("python3 run stop --quiet --no-keep-ram", START_TIMEOUT)


@pytest.fixture(scope="module")
def where() -> str:
    """What `vms` is told besides: the builds under test, and ports that are free."""
    words = Lab(Path(), "default").start_words
    return shlex.join([STARTED, *words[words.index("--build-dir") :]])


@pytest.mark.parametrize("line", LINES, ids=[line.command for line in LINES])
def test_line(shell: tour.Shell, where: str, line: tour.Line) -> None:
    command = line.command
    if "run vms" in command:
        command = f"{command} {where}"
    code, printed = shell.run(command, START_TIMEOUT)
    if code == BROKEN and not printed:  # dropbear has been seen to end without the command's code
        code, printed = shell.run(command, START_TIMEOUT)
    assert code == 0, printed
    assert line.mismatch(printed) is None, printed
