# SPDX-License-Identifier: MIT
"""`python3 run test`: all tests in two runs side by side, with one seed and one outcome."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from run.base.deadline import Deadline
from run.cli.commands import test as command
from run.cli.main import main
from run.suites import suite

CHECKOUT = Path(__file__).parents[3]
CASE = """
import os, pathlib, time, pytest
here = pathlib.Path(__file__).parent
@pytest.mark.vm
def test_guests():
    (here / "guests").write_text(str(os.getpid()))
    {guests}
@pytest.mark.vm
def test_left_out():
    pytest.skip("no reason")
def test_others():
    (here / "others").write_text(str(os.getpid()))
    {others}
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose tests are three; what they do is filled in later."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['vm: x']\n")
    (tmp_path / "tests/conftest.py").write_text("from tests.support.order import *\n")
    monkeypatch.setattr(suite, "CHECKOUT", tmp_path)
    return tmp_path


def fill(checkout: Path, guests: str = "pass", others: str = "pass") -> None:
    (checkout / "tests/test_it.py").write_text(CASE.format(guests=guests, others=others))


def whole(checkout: Path, seed: int | None = None) -> int:
    return suite.run_whole(checkout / "logs", {**os.environ, "PYTHONPATH": str(CHECKOUT)}, seed)


def test_both_parts_run_at_once_and_are_shown_and_counted(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each waits for the other, which never comes if they run one after the other."""
    wait = "while not (here / '{}').exists(): time.sleep(0.01)"
    fill(checkout, guests=wait.format("others"), others=wait.format("guests"))
    assert whole(checkout, seed=7) == 0
    shown = capfd.readouterr().out
    assert re.findall(r"--seed (\d+)", shown) == ["7"] * 4
    assert "2 deselected" in shown
    assert shown.endswith("2 passed, 0 failed, 1 skipped\n")
    assert re.search(r"^ +\d+\.\d  test_it$", shown, re.MULTILINE)


@pytest.mark.parametrize("part", ["guests", "others"])
def test_a_failure_in_either_part_is_one_of_the_whole(
    checkout: Path, part: str, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(checkout, **{part: "assert 0, 'what went wrong'"})
    assert whole(checkout) == 1
    shown = capfd.readouterr().out
    assert "what went wrong" in shown
    assert shown.endswith("1 passed, 1 failed, 1 skipped\n")
    assert len(set(re.findall(r"--seed (\d+)", shown))) == 1


def test_a_part_that_dies_is_a_failure(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fill(checkout)
    assert whole(checkout) == 0
    fill(checkout, guests="os.kill(os.getpid(), 9)")
    assert whole(checkout) == 128 + signal.SIGKILL
    assert capfd.readouterr().out.endswith("1 passed, 0 failed, 0 skipped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_it_ends_both(checkout: Path, number: int) -> None:
    """Both parts are told to end, once, and have the time that they need for it."""
    slow = """try: time.sleep(600)
    finally: time.sleep(1); (here / "{}-cleaned").touch()"""
    fill(checkout, guests=slow.format("guests"), others=slow.format("others"))
    code = (
        "import sys, os, pathlib; from run.suites import suite; "
        "suite.CHECKOUT = pathlib.Path(sys.argv[1])"
    )
    code += "; suite.run_whole(suite.CHECKOUT / 'logs', os.environ, None)"
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(checkout)], env=environ, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as launcher:  # fmt: skip
        marks = [checkout / "tests" / name for name in ("guests", "others")]
        assert Deadline(60).poll(lambda: all(mark.exists() for mark in marks))
        os.killpg(launcher.pid, number)
    for mark in marks:
        assert not Path(f"/proc/{mark.read_text()}").exists()
        assert mark.with_name(f"{mark.name}-cleaned").exists()


@pytest.mark.parametrize(
    ("words", "whole", "handed"),
    [
        ([], None, None),
        (["--seed", "5"], 5, None),
        (["--seed=5", "tests/run"], None, ["--seed=5", "tests/run"]),
        (["-x"], None, ["-x"]),
    ],
)
def test_what_is_not_all_tests_is_one_run(
    monkeypatch: pytest.MonkeyPatch, words: list[str], whole: int | None, handed: list[str] | None
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(command, "require", lambda *_, **__: None)
    monkeypatch.setattr(command, "install_test_tools", lambda _: None)
    monkeypatch.setattr(command, "run_whole", lambda *words: seen.append(words[-1]) or 0)
    monkeypatch.setattr(command, "_pytest", lambda _, words: seen.append(words) or 0)
    assert main(["test", "--no-build", *words]) == 0
    assert seen == [whole if handed is None else handed]
