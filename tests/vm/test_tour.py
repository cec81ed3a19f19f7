# SPDX-License-Identifier: MIT
"""The README's tour, pasted line by line: every line works, and shows what the page shows."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import tour
from tests.vm.support import CHECKOUT, START_TIMEOUT, Lab

pytestmark = [pytest.mark.vm, pytest.mark.in_order]

LINES = tour.read(CHECKOUT / "README.md", "A tour")

#: commands that end with 1 because they found a difference
DIFFERENCES = ("ntbdbg diff ",)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    """Of the tour alone: a reader has no other labs."""
    with TemporaryDirectory(prefix="tour-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shell(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tour.Shell]:
    """In a folder that has of a checkout what the tour uses, so that its files stay there."""
    folder = tmp_path_factory.mktemp("tour")
    (folder / "run").symlink_to(CHECKOUT / "run")
    (folder / ".venv").symlink_to(sys.prefix)
    lab = Lab(runtime, "default")
    with closing(tour.Shell(folder, lab.environ)) as shell:
        yield shell
        shell.run("python3 run stop --quiet --no-keep-ram", START_TIMEOUT)


@pytest.fixture(scope="module")
def where() -> str:
    """What `vms` is told besides: the builds under test, and ports that are free."""
    lab = Lab(Path(), "default")
    words = lab.start_words
    return shlex.join(words[words.index("--build-dir") :])


@pytest.mark.parametrize("line", LINES, ids=[line.command for line in LINES])
def test_line(shell: tour.Shell, where: str, line: tour.Line) -> None:
    command = line.command
    if "run vms" in command:
        command = f"{command} {where}"
    code, printed = shell.run(command, START_TIMEOUT)
    assert code == line.command.startswith(DIFFERENCES), printed
    assert line.mismatch(printed) is None, printed
