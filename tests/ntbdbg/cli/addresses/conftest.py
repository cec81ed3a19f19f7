# SPDX-License-Identifier: MIT
"""Two guests with a kernel each, for the commands that speak of symbols and addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.linuxlab import LinuxLab, page_with_window

MIB = 1 << 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinuxLab]:
    """qemu1's window 0 reaches the 1 MiB of qemu2 where its kernel is."""
    with LinuxLab(tmp_path_factory.mktemp("linux"), page=page_with_window(2 * MIB, MIB)) as fake:
        yield fake


@pytest.fixture
def lab(made: LinuxLab, monkeypatch: pytest.MonkeyPatch) -> LinuxLab:
    made.monkeypatch(monkeypatch)
    return made


@pytest.fixture
def answer(lab: LinuxLab, ntbdbg: Run) -> Callable[..., Any]:
    """What a command says with ``--json``."""

    def answer(*words: str, code: int = 0) -> Any:
        done = ntbdbg(*words, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    return answer
