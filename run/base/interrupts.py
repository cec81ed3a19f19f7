# SPDX-License-Identifier: MIT
"""Ctrl-C and its relatives, noticed between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The user, or the system, asked for the end."""


class Interrupts:
    """Counts requests to end: the first ends softly, the second at once.

    A handler that raises could strike between starting a process and writing down that it
    runs, so handlers only count, and whoever waits does it by `sleep`.
    """

    def __init__(self) -> None:
        self.count = 0

    def install(self) -> None:
        """Take over SIGINT, SIGTERM and SIGHUP (a closed terminal) in this process."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def sleep(self, seconds: float) -> None:
        """Wait; raises Interrupted if a request came before or meanwhile."""
        self.check()
        time.sleep(seconds)
        self.check()

    def check(self) -> None:
        """Raise Interrupted if a request came."""
        if self.count:
            raise Interrupted

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
