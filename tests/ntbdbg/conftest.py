# SPDX-License-Identifier: MIT
"""What all tests of the toolkit share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fakelab import FakeLab

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a user who has no labs."""
    return tmp_path_factory.mktemp("nobody")


@pytest.fixture(autouse=True)
def _alone(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the labs of whoever runs it, or writes to their cache."""
    monkeypatch.delenv("NTBDBG_FROM", raising=False)
    monkeypatch.delenv("NTBDBG_LAB", raising=False)
    for variable in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(nobody))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLab]:
    """A live lab of qemu1 and qemu2, 16 MiB each, without a link; the environment leads to it."""
    with FakeLab(tmp_path / "run") as fake:
        fake.monkeypatch(monkeypatch)
        yield fake


@pytest.fixture
def ntbdbg() -> Run:
    """Run the command line in a process of its own: ``ntbdbg("dump", "qemu1", "0")``.

    `binary` gives bytes instead of text; further keywords go to subprocess.run.
    """

    def run(
        *arguments: str | Path, binary: bool = False, **options: object
    ) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ntbdbg", *map(str, arguments)]
        settings: dict[str, object] = {"capture_output": True, "timeout": 60, "text": not binary}
        return subprocess.run(argv, check=False, **{**settings, **options})  # type: ignore[call-overload]

    return run
