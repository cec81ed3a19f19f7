# SPDX-License-Identifier: MIT
"""Spans of time as users write them: ``5s``, ``200ms``, ``1.5m``."""

from __future__ import annotations

import re

from ntbdbg.errors import UsageError

UNITS = {"us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(us|ms|s|m|h)?")


def parse_span(text: str) -> int:
    """Nanoseconds; a number without a unit is of seconds.

    :raises UsageError: it is no such span
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r:.40} is no span of time", hint="such as 5s, 200ms, 2m")
    return round(float(match[1]) * UNITS[match[2] or "s"])
