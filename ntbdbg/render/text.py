# SPDX-License-Identifier: MIT
"""Text that is safe to print, whoever wrote it."""

from __future__ import annotations

import contextlib
import sys


def printable(text: str, *, keep: str = "") -> str:
    r"""`text` without control characters: names and bytes of a guest may hold escape codes.

    Newlines and tabs become ``\n`` and ``\t``, so that a message stays one line.

    :param keep: control characters that stay
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def say(text: str) -> None:
    """Write words to stderr; where it is closed or full, nobody hears them, and work goes on."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def shorten(data: bytes, limit: int = 16) -> str:
    """`data` as ``de ad be ef``; from `limit` bytes on, its start and how long it is."""
    if len(data) <= limit:
        return data.hex(" ")
    return f"{data[:limit].hex(' ')} … ({len(data)} bytes)"


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
