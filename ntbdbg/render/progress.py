# SPDX-License-Identifier: MIT
"""A line on stderr that says how far long work has come; for people, and only after a second."""

from __future__ import annotations

import sys
import time

from ntbdbg.render.text import say

DELAY = 1.0
"""Seconds of work before anything is shown."""

INTERVAL = 0.1
"""Seconds between two updates."""


class Progress:
    """Call it with what is done and what is to do, in the same unit.

    :param label: what is going on
    :param enabled: whether a person looks; nothing is shown unless stderr is a terminal too
    """

    def __init__(self, label: str, enabled: bool) -> None:
        self._label = label
        self._enabled = enabled and sys.stderr.isatty()
        self._next = time.monotonic() + DELAY
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._enabled or now < self._next or not total:
            return
        self._next = now + INTERVAL
        self._shown = True
        share = done / total
        bar = "#" * round(share * 30)
        say(f"\r{self._label} [{bar:<30}] {share:4.0%} ")

    def clear(self) -> None:
        """Take the line away, before results are printed."""
        if self._shown:
            say("\r\x1b[K")
            self._shown = False
