# SPDX-License-Identifier: MIT
"""Under CI nothing is skipped that proves the main job: a test with a QEMU fails instead."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

MARKS = ("device", "vm")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") and any(map(item.get_closest_marker, MARKS)):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else "it is marked xfail"
        report.outcome, report.longrepr = "failed", f"under CI this may not be skipped: {why}"
    return report
