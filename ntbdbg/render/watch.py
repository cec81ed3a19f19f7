# SPDX-License-Identifier: MIT
"""Changes as lines and as JSON: what ``watch`` prints when nobody looks at a live view."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ntbdbg.inspect.changes import ByteChange, Change
from ntbdbg.inspect.linkstate import FieldValue, is_hex
from ntbdbg.render.text import shorten

if TYPE_CHECKING:
    from ntbdbg.inspect.watch import Sample, WatchStats


def change_line(sample: Sample, change: Change, start: float) -> str:
    """``DATE TIME +SECONDS GUEST WHERE OLD -> NEW``.

    :param start: monotonic time of the first sample; SECONDS count from it
    """
    moment = f"{wall_time(sample.wall)} +{sample.monotonic - start:.6f}"
    return f"{moment} {change.source} {where(change)} {old_text(change)} -> {new_text(change)}"


def wall_time(seconds: float) -> str:
    """Local date and time to the microsecond."""
    return datetime.fromtimestamp(seconds).isoformat(" ", "microseconds")


def where(change: Change) -> str:
    """Address or field."""
    return f"{change.address:#x}" if isinstance(change, ByteChange) else change.field


def old_text(change: Change) -> str:
    """What was there before."""
    if isinstance(change, ByteChange):
        return shorten(change.old)
    return value_text(change.field, change.old)


def new_text(change: Change) -> str:
    """What is there now."""
    if isinstance(change, ByteChange):
        return shorten(change.new)
    return value_text(change.field, change.new)


def value_text(field: str, value: FieldValue | None) -> str:
    """A field's value: hexadecimal where that reads better, ``(none)`` where there is none."""
    if value is None or value == "":
        return "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and is_hex(field):
        return f"{value:#x}"
    return str(value)


def change_facts(sample: Sample, change: Change) -> dict[str, Any]:
    """One line of ``watch --json`` (docs/json.md)."""
    facts: dict[str, Any] = {
        "sample": sample.number,
        "time": sample.wall,
        "monotonic": sample.monotonic,
        "guest": change.source,
    }
    if isinstance(change, ByteChange):
        facts |= {"address": change.address, "old": change.old.hex(), "new": change.new.hex()}
    else:
        facts |= {"field": change.field, "old": change.old, "new": change.new}
    return facts


def stats_line(stats: WatchStats) -> str:
    """How well the watch saw, for people."""
    if stats.samples < 2:
        return f"{stats.samples} sample"
    return (
        f"{stats.samples} samples in {stats.elapsed:.3f} s: {stats.rate:.0f}/s, "
        f"longest gap {stats.longest_gap * 1e3:.2f} ms; {stats.changes} changes"
    )


def stats_facts(stats: WatchStats) -> dict[str, Any]:
    """The same for the last line of ``watch --json``."""
    return {
        "samples": stats.samples,
        "changes": stats.changes,
        "elapsed": stats.elapsed,
        "rate": stats.rate,
        "longest_gap": stats.longest_gap,
    }
