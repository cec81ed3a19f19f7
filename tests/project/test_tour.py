# SPDX-License-Identifier: MIT
"""How the README's tour is read, and what counts as the same output."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.config import CHECKOUT
from tests.support import tour
from tests.support.tour import Line

PAGE = """
# It

    $ not this one

## A tour

Words.

    $ first
    out

    $ second 'a b'
    …
      end of it

## More

    $ nor this one
"""


def test_the_tour_is_whole() -> None:
    """It starts with a lab and ends without; each command of the toolkit shows what it says."""
    lines = tour.read(CHECKOUT / "README.md", "A tour")
    commands = [line.command for line in lines]
    assert commands[0].startswith("python3 run vms")
    assert commands[-1] == "python3 run stop"
    assert len(commands) > 40
    assert all(line.shown for line in lines if line.command.startswith("ntbdbg"))


def test_the_section_alone_is_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, second = tour.read(page, "A tour")
    assert (first.command, first.shown) == ("first", ["out"])
    assert (second.command, second.shown) == ("second 'a b'", ["…", "  end of it"])


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ([], ""),
        (["pid 12 runs"], "pid 4711 runs\n"),
        (["at 0xdead, ffffffff81000000"], "at 0x1f, ffffffffa1b2c3d4\n"),
        (["NAME   SIZE"], "NAME       SIZE  \n"),
        (["it took 3.2 s for 12 MiB"], "it took 870 ms for 1.5 GiB\n"),
        (["00001000: 4865 6c6c  Hell"], "ffffffffa0000000: 4865 6c6c  Hell\n"),
        (["…", "b", "…"], "a\na\nb\nc\n"),
        (["…", "b"], "b\n"),
        (["a", "…"], "a\n"),
        (["crash, …"], "crash, in f+0x1\n"),
    ],
)
def test_the_same_but_for_what_varies(shown: list[str], printed: str) -> None:
    assert Line("x", shown).mismatch(printed) is None


@pytest.mark.parametrize(
    ("shown", "printed", "missed"),
    [
        ([], "error\n", "(nothing) instead of error"),
        (["a"], "", "a"),
        (["a"], "b\na\n", "a"),
        (["a"], "a\nb\n", "(nothing) instead of b"),
        (["…", "b"], "b\nc\n", "(nothing) instead of c"),
        (["00001000: 4865 6c6c  Hell"], "00001000: 4865 6c6d  Helm\n", "00001000: 4865 6c6c  Hell"),
        (["…", "b", "a"], "a\nb\n", "a"),
        (["12 windows open"], "12 windows closed\n", "12 windows open"),
    ],
)
def test_what_differs_is_told(shown: list[str], printed: str, missed: str) -> None:
    assert Line("x", shown).mismatch(printed) == missed


def test_a_shell_keeps_its_variables_and_tells_codes_and_what_a_terminal_shows(
    tmp_path: Path,
) -> None:
    shell = tour.Shell(tmp_path, {"PATH": "/usr/bin:/bin"})
    try:
        assert shell.run("two='1 2'; cat", 60) == (0, ""), "nobody types"
        assert shell.run("echo $two; test -t 1; echo $?; pwd", 60) == (0, f"1 2\n0\n{tmp_path}\n")
        assert shell.run("printf 'half\\r\\033[Kdone\\n'; false", 60) == (1, "done\n")
        with pytest.raises(AssertionError, match=r"not over within 0\.1 s; so far:\nbegun"):
            shell.run("echo begun; sleep 2", 0.1)
    finally:
        shell.close()
