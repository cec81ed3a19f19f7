# SPDX-License-Identifier: MIT
"""What all tests share: none fails because the machine is slow, or because of its place."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["tests.support.order", "tests.support.unskipped"]

settings.register_profile("ntbdbg", deadline=None)
# Where nobody looks for new counterexamples, the same examples are tried each time.
settings.register_profile("ci", parent=settings.get_profile("ntbdbg"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "ntbdbg")

# Whoever a shell without job control starts in the background ignores this, and so would the
# programs that are interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """A thread left behind changes what later modules test: a process with threads never forks."""
    yield
    left = [
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
    ]
    assert left == [], "threads that nobody ended"
