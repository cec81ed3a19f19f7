# SPDX-License-Identifier: MIT
"""A small QEMU to develop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fakeqemu import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def entered(bench: Bench) -> Bench:
    """Entered and finished once, so that there is a series."""
    bench.enter()
    bench.finish()
    return bench
