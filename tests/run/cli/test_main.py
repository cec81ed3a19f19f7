# SPDX-License-Identifier: MIT
"""The command line as a whole: older spellings, errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from run.base.config import CHECKOUT
from run.base.errors import HostError, RunError, UsageError
from run.base.spellings import translate
from run.cli import main as module
from run.cli.main import COMMANDS, main


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Replace every command by one that does what it is given."""

    def install(body: Callable[[], object]) -> None:
        command = click.Command("status", callback=body)
        monkeypatch.setattr(module.LazyGroup, "get_command", lambda *_: command)

    return install


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--command=build"], ["build"]),
        (["--command=run_vm", "--memory=512"], ["vm", "--memory=512"]),
        (["--cmd", "run_vms", "--qemu-map-ram-to-shm"], ["vms", "--qemu-map-ram-to-shm"]),
        (["--qemu-map-ram-to-shm=64", "--cmd=run_vms"], ["vms", "--qemu-map-ram-to-shm=64"]),
        (["--command=build", "--build=qemu"], ["build", "--build=qemu"]),
        (["vms", "--common-opts", "x"], ["vms", "--common-opts", "x"]),
        (["ssh", "1", "--", "--command=build"], ["ssh", "1", "--", "--command=build"]),
        ([], []),
    ],
)
def test_older_spellings(typed: list[str], meant: list[str]) -> None:
    assert translate(typed) == meant


@pytest.mark.parametrize("typed", [["--command=fly"], ["--cmd", "fly"], ["--cmd="], ["--cmd"]])
def test_an_unknown_older_command_lists_what_exists(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        translate(typed)
    assert main(typed) == 2
    assert "build, run_vm, run_vms" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (RunError("it broke", hint="try again"), 1, "run: it broke; try again"),
        (UsageError("no such guest"), 2, "run: no such guest"),
        (HostError("no room", hint="free some"), 3, "run: no room; free some"),
        (RunError("as the guest", exit_code=42), 42, "run: as the guest"),
        (KeyboardInterrupt(), 130, "run: interrupted"),
    ],
)
def test_errors_end_in_one_line_and_a_code(
    fake: Callable[[Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    words: str,
) -> None:
    def body() -> None:
        raise raised

    fake(body)
    assert main(["status"]) == code
    captured = capsys.readouterr()
    assert captured.err.strip().splitlines() == [words]
    assert captured.out == ""


def test_debug_shows_the_traceback(fake: Callable[[Callable[[], object]], None]) -> None:
    def body() -> None:
        raise HostError("no room")

    fake(body)
    with pytest.raises(HostError):
        main(["status", "--debug"])


def test_a_command_may_choose_its_exit_code(fake: Callable[[Callable[[], object]], None]) -> None:
    fake(lambda: 5)
    assert main(["status"]) == 5
    fake(lambda: None)
    assert main(["status"]) == 0


def test_an_unknown_command_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 2
    said = capsys.readouterr().err
    assert "no command 'fly'" in said
    assert all(name in said for name in COMMANDS)


def test_an_unknown_option_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--flyy"]) == 2
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["--help"], ["-h"]])
def test_help_names_every_command(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("typed", [[], ["help"]])
def test_nothing_and_the_word_help_are_help(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    whole = capsys.readouterr().out
    assert main(typed) == 0
    assert capsys.readouterr() == (whole, "")
    assert "\nCommands:\n" in whole


def test_help_of_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "stop"]) == 0
    assert capsys.readouterr().out.startswith("Usage: python3 run stop ")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from ntbdbg import __version__

    for option in ("-V", "--version"):
        assert main([option]) == 0
        assert capsys.readouterr().out == f"python3 run, of ntbdbg {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["stopp"], "no command 'stopp'; did you mean 'stop'?"),
        (["1", "ssh"], "no command '1'; the command comes first: python3 run ssh 1"),
        (["dump", "qemu1"], "no command 'dump'; that is one of the toolkit: .venv/bin/ntbdbg dump"),
    ],
)
def test_a_command_that_is_not_there(
    typed: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 2
    assert capsys.readouterr().err == f"run: {hint}\n"


@pytest.mark.parametrize("name", ["build", "test", "doctor"])
def test_help_of_a_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"python3 run {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [
        (">/dev/full", 1, "run: No space left on device; --debug shows where\n"),
        ("2>/dev/full", 0, ""),
        ("nonsense 2>/dev/full", 2, ""),
    ],
)
def test_streams_that_are_full(redirect: str, code: int, said: str, tmp_path: Path) -> None:
    command = f'exec "$0" run status {redirect}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=CHECKOUT,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, said)
