# SPDX-License-Identifier: MIT
"""Waiting for what another process does, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str = "the awaited state", seconds: float = 10.0) -> T:
    """Return the first true value of `probe`; fail with `what` when time is up."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s (last: {value!r})")
        time.sleep(0.001)
