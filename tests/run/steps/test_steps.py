# SPDX-License-Identifier: MIT
"""Build steps: logs in files, their end on failure, bars only on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from run.steps import steps as steps_module
from run.steps.steps import StepError, Steps


def _steps(folder: Path, terminal: str | None = None) -> tuple[Steps, io.StringIO]:
    """Steps, and what they show: on a terminal of that kind, or in a file."""
    shown = io.StringIO()
    console = Console(
        file=shown,
        force_terminal=terminal is not None,
        width=80,
        color_system=None,
        _environ={"TERM": terminal or "dumb"},
    )
    return Steps(folder, console), shown


def test_output_goes_to_the_log_of_the_step(tmp_path: Path) -> None:
    steps, shown = _steps(tmp_path)
    with steps.step("qemu: compile") as step:
        assert step.run(["sh", "-c", "echo words; echo more >&2"]) == "words\nmore\n"
    log = (tmp_path / "qemu-compile.log").read_text()
    assert log.startswith("$ sh -c ")
    assert log.endswith("words\nmore\n")
    assert "words" not in shown.getvalue()


@pytest.mark.parametrize("terminal", [None, "dumb"])
def test_without_a_real_terminal_there_are_plain_lines(
    tmp_path: Path, terminal: str | None
) -> None:
    steps, shown = _steps(tmp_path, terminal)
    with steps.step("one"):
        pass
    lines = shown.getvalue().splitlines()
    assert lines[0] == "  one ..."
    assert lines[1].startswith("  one 0 s")


def test_a_failure_shows_the_end_of_the_log_and_its_path(tmp_path: Path) -> None:
    steps, _ = _steps(tmp_path)
    with pytest.raises(StepError) as caught, steps.step("one") as step:
        step.run(["sh", "-c", "seq 1000; echo the reason; exit 9"])
    message = str(caught.value)
    assert "one: sh ended with 9" in message
    assert "the reason" in message
    assert "\n    900" not in message
    assert message.endswith(str(tmp_path / "one.log"))
    assert "1000" in (tmp_path / "one.log").read_text()


def test_a_missing_program_is_said(tmp_path: Path) -> None:
    steps, _ = _steps(tmp_path)
    with pytest.raises(StepError, match="cannot run no-such-program"), steps.step("one") as step:
        step.run(["no-such-program"])


def test_ninja_moves_the_bar(tmp_path: Path) -> None:
    steps, shown = _steps(tmp_path, "xterm")
    with steps.step("qemu: compile") as step:
        step.run(["sh", "-c", "echo '[1/4] a'; echo '[4/4] b'"])
    assert "qemu: compile" in shown.getvalue()
    assert "4/4" in shown.getvalue()


def test_input_and_folder_reach_the_program(tmp_path: Path) -> None:
    steps, _ = _steps(tmp_path / "logs")
    with steps.step("one") as step:
        assert step.run(["cat"], stdin=b"words") == "words"
        assert step.run(["pwd"], cwd=tmp_path).strip() == str(tmp_path)
        assert "A=1\n" in step.run(["env"], env={"A": "1"})


def test_programs_of_the_system_are_found_with_the_path_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    steps, _ = _steps(tmp_path)
    with steps.step("one") as step:
        path = step.run(["sh", "-c", "echo $PATH"], env={"A": "1"}).strip()
        assert path.split(":") == ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        assert "kmod" in step.run(["depmod", "--version"])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[12/900] Compiling C object", ("12", "900")),
        ("NOTE: Running task 12 of 900 (/x/qemu.bb:do_compile)", ("12", "900")),
        ("NOTE: Running setscene task 3 of 100 (/x/gcc.bb:do_populate_sysroot)", ("3", "100")),
        ("NOTE: recipe qemu-native: task do_fetch: Started", None),
        ("12/900", None),
    ],
)
def test_how_far_ninja_and_bitbake_are(line: str, found: tuple[str, str] | None) -> None:
    match = steps_module._FRACTION.match(line)
    assert (match.groups() if match else None) == found
