# SPDX-License-Identifier: MIT
"""Tests in a random order, which ``--seed`` repeats: one that needs another's traces is found.

Modules are shuffled, and the tests within each, so that what tests of a module share is still made
once. A module marked `in_order` stages one story, whose tests stay as they are written.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

import pytest

LARGEST = 1 << 32


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="repeat the order of an earlier run, which told it")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(LARGEST)


def pytest_report_header(config: pytest.Config) -> str:
    return told(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Again, as what failed is looked for at the end, and ``-q`` shows no header."""
    terminalreporter.write_line(told(terminalreporter.config))


def told(config: pytest.Config) -> str:
    return f"order of the tests: --seed {config.option.seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = shuffled(items, config.option.seed)


def shuffled(items: Sequence[pytest.Item], seed: int) -> list[pytest.Item]:
    """`items` in the order of `seed`, those of each module together."""
    source = random.Random(seed)
    modules = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    source.shuffle(modules)
    for module in modules:
        if not module[0].get_closest_marker("in_order"):
            source.shuffle(module)
    return [item for module in modules for item in module]
