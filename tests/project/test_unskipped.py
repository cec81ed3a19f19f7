# SPDX-License-Identifier: MIT
"""Which tests may be skipped, where: those with a QEMU by their users, not by CI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TESTS = """
import pytest
@pytest.mark.vm
def test_guests(): pytest.skip("no guest")
@pytest.mark.device
@pytest.mark.skipif(True, reason="no QEMU")
def test_device(): pass
@pytest.mark.vm
@pytest.mark.xfail
def test_hoped(): assert 0
def test_pure(): pytest.skip("no mirror")
"""


@pytest.mark.parametrize(
    ("ci", "end"), [("true", "2 failed, 1 skipped, 1 error"), ("", "3 skipped, 1 xfailed")]
)
def test_what_is_skipped_under_ci_has_failed(tmp_path: Path, ci: str, end: str) -> None:
    (tmp_path / "conftest.py").write_text("from tests.support.unskipped import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    vm: x\n    device: x\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(CHECKOUT), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f" {end} in " in done.stdout, done.stdout
    assert "no mirror" in done.stdout
    for why in ("Skipped: no guest", "Skipped: no QEMU", "it is marked xfail"):
        assert (f"under CI this may not be skipped: {why}" in done.stdout) == bool(ci)
