# SPDX-License-Identifier: MIT
"""The order of the tests: another one each time, the same one again by its seed."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
STORY = 3
MODULE = """
import pytest
{mark}
@pytest.mark.parametrize("number", range(9))
def test_it(number): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Six modules of nine tests, one of which tells a story."""
    (tmp_path / "conftest.py").write_text("from tests.support.order import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = in_order: x\n")
    for number in range(6):
        mark = "pytestmark = pytest.mark.in_order" if number == STORY else ""
        (tmp_path / f"test_{number}.py").write_text(MODULE.format(mark=mark))
    return tmp_path


def order(suite: Path, *words: str) -> tuple[list[tuple[int, int]], str]:
    """In which order tests come, as module and number, and the seed that is told."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*argv, *words, str(suite)],
        cwd=suite,
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    (seed,) = re.findall(r"^order of the tests: --seed (\d+)$", done.stdout, re.MULTILINE)
    found = re.findall(r"^test_(\d)\.py::test_it\[(\d)\]$", done.stdout, re.MULTILINE)
    assert len(found) == 6 * 9
    return [(int(module), int(number)) for module, number in found], seed


def test_a_seed_repeats_the_order_and_no_seed_gives_another(suite: Path) -> None:
    first, seed = order(suite)
    assert order(suite, "--seed", seed) == (first, seed)
    second, other = order(suite)
    assert other != seed
    assert (first != second, sorted(first)) == (True, sorted(second))


def test_modules_stay_whole_and_a_story_is_told_in_order(suite: Path) -> None:
    found, _ = order(suite, "--seed", "7")
    modules = {
        module: [number for _, number in tests]
        for module, tests in groupby(found, key=lambda one: one[0])
    }
    assert sorted(modules) == list(range(6)) != list(modules)
    assert sum(map(len, modules.values())) == 6 * 9
    assert modules.pop(STORY) == list(range(9))
    assert all(numbers != sorted(numbers) for numbers in modules.values())
