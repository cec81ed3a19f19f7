# SPDX-License-Identifier: MIT
"""What tests are run with: each kernel's guest, and a word about one that cannot be had."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from run.base.config import FLAVOURS, Paths
from run.base.errors import RunError
from run.guest.choice import DebianKernel
from run.make import prepare
from run.make.prepare import BACKPORT, TRIXIE, Request, make_for_tests
from run.steps.steps import Steps


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, Path]]:
    """What is made, and where; nothing is, and no backport can be."""
    found: list[tuple[Request, Path]] = []

    def make(steps: Steps, paths: Paths, request: Request) -> list[object]:
        found.append((request, paths.build))
        if request.kernel == BACKPORT:
            raise RunError("the mirror is being updated")
        return []

    monkeypatch.setattr(prepare, "make", make)
    return found


def test_every_kernel_is_made_and_a_backport_that_is_not_there_is_told(
    made: list[tuple[Request, Path]], tmp_path: Path
) -> None:
    screen = io.StringIO()
    steps = Steps(tmp_path / "logs", Console(file=screen, width=200))
    make_for_tests(steps, Paths(tmp_path), Request())
    flavours = [DebianKernel(flavour=flavour) for flavour in FLAVOURS]
    guests = [request.kernel for request, _ in made if "guest" in request.what]
    assert guests == [*flavours, TRIXIE, BACKPORT]
    assert (made[-1][0].sanitize, made[-1][1]) == (True, tmp_path / "sanitized")
    assert " ".join(screen.getvalue().split()) == (
        "tests go without debian:trixie-backports, which cannot be had today:"
        " the mirror is being updated"
    )


def test_any_other_guest_must_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def make(steps: Steps, paths: Paths, request: Request) -> list[object]:
        if request.kernel == TRIXIE:
            raise RunError("no such thing")
        return []

    monkeypatch.setattr(prepare, "make", make)
    with pytest.raises(RunError, match="no such thing"):
        make_for_tests(Steps(tmp_path / "logs"), Paths(tmp_path), Request())
