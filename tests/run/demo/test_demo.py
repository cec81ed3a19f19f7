# SPDX-License-Identifier: MIT
"""`python3 run demo` sees to all that it needs before anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.errors import HostError
from run.cli.commands import demo
from run.cli.main import main
from run.host.install import Policy


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the command does, in order; nothing is built, started or shown."""
    steps: list[object] = []

    def require(_, *purposes: str, policy: Policy) -> None:
        steps.append(("packages", *sorted(purposes), policy))

    monkeypatch.setattr(demo, "require", require)
    monkeypatch.setattr(demo, "_launcher", lambda *words: steps.append(words[0]))
    monkeypatch.setattr(demo.scenes, "play", lambda _: steps.append("play"))
    return steps


def test_what_building_and_talking_need_comes_first(done: list[object], tmp_path: Path) -> None:
    """A bare Debian has no ssh client: a demo that boots and then says so is no demo."""
    assert main(["demo", "--build-dir", str(tmp_path)]) == 0
    packages = ("packages", "guest", "qemu", "run", Policy.ROOT)
    assert done == [packages, "build", "stop", "vms", "play", "stop"]


@pytest.mark.parametrize(
    ("word", "policy"), [("--no-install", Policy.NEVER), ("--yes", Policy.ALWAYS)]
)
def test_who_may_install(done: list[object], tmp_path: Path, word: str, policy: Policy) -> None:
    assert main(["demo", word, "--keep", "--build-dir", str(tmp_path)]) == 0
    assert done[0] == ("packages", "guest", "qemu", "run", policy)
    assert done[-1] == "play"


def test_nothing_starts_where_something_is_lacking(
    done: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise HostError("this host lacks 1 system package", hint="apt-get install it")

    monkeypatch.setattr(demo, "require", refuse)
    assert main(["demo", "--build-dir", str(tmp_path)]) == 3
    assert "apt-get install it" in capsys.readouterr().err
    assert done == []
