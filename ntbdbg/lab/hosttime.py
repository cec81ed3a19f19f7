# SPDX-License-Identifier: MIT
"""Time as an argument: what looks twice at something that moves asks here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class HostTime(NamedTuple):
    """The host's clocks, seconds: `wall` since 1970, `monotonic` since some moment."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


HOST = HostTime()
