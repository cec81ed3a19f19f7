# SPDX-License-Identifier: MIT
"""Waiting for something, for a limited time, on a clock that a test may replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

#: seconds between two looks
INTERVAL = 0.05

T = TypeVar("T")


class Deadline:
    """`seconds` from now on.

    :param sleep: waits between two looks; may raise to end the wait early
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._end = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds, never negative."""
        return max(0.0, self._end - self._clock())

    @property
    def expired(self) -> bool:
        return self.remaining == 0.0

    def poll(self, test: Callable[[], T]) -> T:
        """Ask `test` until its answer is true or time is up; gives the last answer."""
        while True:
            answer = test()
            if answer or self.expired:
                return answer
            self._sleep(min(INTERVAL, self.remaining))
