# SPDX-License-Identifier: MIT
"""Signals around what must not be left half done."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals waiting during a block that is short, or whose time is limited, as QMP's is."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_by_exception() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise SystemExit, so that ``finally`` runs (main thread only)."""
    try:
        old = {number: signal.signal(number, _leave) for number in _SIGNALS[1:]}
    except ValueError:  # not the main thread: signals are not ours to catch
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)
