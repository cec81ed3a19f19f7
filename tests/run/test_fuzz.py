# SPDX-License-Identifier: MIT
"""`python3 run fuzz`: which QEMU it builds, and what it runs then."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from run.cli.commands import fuzz
from run.cli.main import main
from run.qemu.compile import SANITIZE, Inputs


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the command asked for, with nothing built and nothing run."""
    seen = SimpleNamespace(code=0)

    def make(_steps, paths, request):
        seen.build, seen.request = paths.build, request

    def run(argv, **options):
        seen.argv, seen.options = argv, options
        return subprocess.CompletedProcess(argv, seen.code)

    monkeypatch.setattr(fuzz, "require", lambda *_, **__: None)
    monkeypatch.setattr(fuzz, "install_test_tools", lambda _: None)
    monkeypatch.setattr(fuzz, "make", make)
    monkeypatch.setattr(fuzz.subprocess, "run", run)
    return seen


def test_sanitizers_are_the_default_and_have_a_build_of_their_own(ran, tmp_path: Path) -> None:
    assert main(["fuzz", "--build-dir", str(tmp_path), "--seconds", "5", "--seed", "7"]) == 0
    assert ran.build == tmp_path / "sanitized"
    assert ran.request.sanitize
    assert ran.request.what == ["qemu"]
    assert ran.argv[1:] == ["-m", "tests.fuzz", "--seconds", "5", "--seed", "7"]
    assert ran.options["env"]["NTBDBG_BUILD_DIR"] == str(tmp_path / "sanitized")


def test_the_build_for_use(ran, tmp_path: Path) -> None:
    assert main(["fuzz", "--build-dir", str(tmp_path), "--no-asan"]) == 0
    assert ran.build == tmp_path
    assert not ran.request.sanitize
    assert ran.argv[1:] == ["-m", "tests.fuzz", "--seconds", "60"]


def test_a_violation_is_a_failure(ran, tmp_path: Path) -> None:
    ran.code = 1
    assert main(["fuzz", "--build-dir", str(tmp_path)]) == 1


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--seed", "x"]])
def test_usage(ran, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", *words]) == 2
    assert not hasattr(ran, "argv")


def test_sanitizers_change_what_is_configured_and_its_key(tmp_path: Path) -> None:
    source = SimpleNamespace(line="line", content="content", configure=())
    plain, checked = (Inputs(source, tmp_path, [], [], [], sanitize) for sanitize in (False, True))
    assert checked.configure == (*plain.configure, *SANITIZE)
    assert checked.key != plain.key
    assert checked.line != plain.line
