# SPDX-License-Identifier: MIT
"""ruff and mypy are content, by the versions that pyproject.toml names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from run.base.config import CHECKOUT, cache_dir
from run.base.locks import exclusive

#: outside the checkout, so that a fresh one does not begin anew
CACHE = cache_dir() / "style"


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff(words: list[str]) -> None:
    content("ruff", *words, "--cache-dir", str(CACHE / "ruff"), ".")


def test_mypy() -> None:
    with exclusive(CACHE / "lock"):
        content("mypy", "--cache-dir", str(CACHE / "mypy"))


def content(tool: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", tool, *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
