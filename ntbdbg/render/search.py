# SPDX-License-Identifier: MIT
"""Matches of a search: lines in xxd's format that start at the match, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ntbdbg.memory.segments import AddressRange
from ntbdbg.render.hexcolor import format_color
from ntbdbg.render.hexdump import offset_digits
from ntbdbg.render.hexlines import HexLayout, format_plain
from ntbdbg.render.json import document

if TYPE_CHECKING:
    from ntbdbg.inspect.search import Match
    from ntbdbg.inspect.value import Pattern
    from ntbdbg.memory.base import PhysicalMemory

LINE = 16
SHOWN = 64
"""Bytes of a long match that are printed without --context."""


def context_dump(memory: PhysicalMemory, match: Match, context: int, color: bool) -> bytes:
    """The match and what surrounds it, read anew, as dump lines.

    :param context: bytes before and after, ended by ``--`` as grep does; 0 for one line
        (more only if the match is longer), without separator
    """
    run = next(run for run in memory.segments.runs() if match.address in run)
    shown = max(min(len(match.data), SHOWN), LINE)
    start = max(run.start, match.address - context)
    end = min(run.end, match.address + (len(match.data) + context if context else shown))
    layout = HexLayout(digits=offset_digits(run.end), color=color)
    data = match.data if not context and len(match.data) == shown else b""
    if not data:
        start, data = _around(memory, match.address, AddressRange(start, end))
    if not context:
        data = match.data[:shown] + data[len(match.data) :]
    text = (format_color if color else format_plain)(start, data, layout)
    return text + b"--\n" if context else text


def _around(memory: PhysicalMemory, address: int, within: AddressRange) -> tuple[int, bytes]:
    """Where what can be read around `address` begins, and its bytes: a dump may be damaged."""
    parts = memory.read_sound(within)
    return next((at, data) for at, data in parts if at <= address < at + len(data))


def json_matches(
    out: BinaryIO,
    guest: str,
    pattern: Pattern,
    matches: Iterator[Match],
    counts: bool,
    limit: int | None,
) -> int:
    """One JSON document, written as matches come; gives their number.

    :param counts: leave the matches themselves out
    """
    head = document("search", {"guest": guest, "pattern": pattern.text})
    out.write(f'{head[:-1]}, "matches": ['.encode())
    found = 0
    for match in matches:
        if not counts:
            entry = json.dumps({"address": match.address, "data": match.data.hex()})
            out.write(((", " if found else "") + entry).encode())
        found += 1
    complete = json.dumps(found != limit)
    out.write(f'], "count": {found}, "complete": {complete}}}\n'.encode())
    return found
