# SPDX-License-Identifier: MIT
"""A bounded run of what `python3 run fuzz` does without end."""

from __future__ import annotations

import time

import pytest

from tests.device.qtest import Build
from tests.fuzz.campaign import run, summary

SEED = 20261123
OPERATIONS = 200_000
SECONDS = 60


def test_two_hostile_guests(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    end = begun + SECONDS
    campaign = run(build, SEED, lambda it: it.operations >= OPERATIONS or time.monotonic() > end)
    with capsys.disabled():
        print(f"\n{summary(campaign, begun, build.qemu)}")
    assert campaign.operations >= OPERATIONS
    assert campaign.scribbles > 0
