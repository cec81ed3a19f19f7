# SPDX-License-Identifier: MIT
"""The how-tos, pasted line by line in one lab: every line works, and shows what its page shows."""

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

FOLDER = CHECKOUT / "docs" / "howto"

#: as the index has them; each leaves the guests as it found them
PAGES = (
    "load-my-driver",
    "copy-a-file",
    "wrong-place",
    "no-interrupt",
    "dump-from-the-field",
    "hangs",
)

LINES = [(page, line) for page in PAGES for line in tour.read(FOLDER / f"{page}.md", "Steps")]

#: commands that end with 1 because they found a difference
DIFFERENCES = ("ntbdbg diff ",)

#: what builds, where the test has its builds
BUILDS = ("python3 run module build",)


def test_every_page_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == {*PAGES, "README"}
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"({page}.md)" in index for page in PAGES)


@pytest.fixture(scope="module")
def where() -> str:
    """The builds under test, and ports that are free."""
    words = Lab(Path(), "default").start_words
    return shlex.join(words[words.index("--build-dir") :])


@pytest.fixture(scope="module")
def shell(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tour.Shell]:
    """In a folder that has of a checkout what is used, so that files stay there; guests run."""
    folder = tmp_path_factory.mktemp("howto")
    (folder / "run").symlink_to(CHECKOUT / "run")
    (folder / ".venv").symlink_to(sys.prefix)
    with TemporaryDirectory(prefix="howto-") as runtime:
        lab = Lab(Path(runtime), "default")
        with closing(tour.Shell(folder, lab.environ)) as shell:
            code, printed = shell.run(f"python3 run vms --detach {where}", START_TIMEOUT)
            assert code == 0, printed
            shell.run(". .venv/bin/activate", START_TIMEOUT)
            yield shell
            shell.run("python3 run stop --quiet --no-keep-ram", START_TIMEOUT)


@pytest.mark.parametrize(
    ("page", "line"), LINES, ids=[f"{page}: {line.command}" for page, line in LINES]
)
def test_line(shell: tour.Shell, where: str, page: str, line: tour.Line) -> None:
    command = line.command
    if command.startswith(BUILDS):
        command = f"{command} {shlex.join(shlex.split(where)[:2])}"
    code, printed = shell.run(command, START_TIMEOUT)
    assert code == line.command.startswith(DIFFERENCES), printed
    assert line.mismatch(printed) is None, printed
