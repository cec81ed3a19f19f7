# SPDX-License-Identifier: MIT
"""A kernel's log as dmesg prints it, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.text import Text

    from ntbdbg.kernel.printk import LogRecord

LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
"""Names of the levels 0 to 7, as dmesg(1) has them."""

_STYLES = ("bold red", "bold red", "bold red", "red", "bold", "", "", "dim")


def record_lines(record: LogRecord) -> Iterator[tuple[str, str]]:
    """(time stamp, text) of each line; control characters but tabs are escaped."""
    for stamp, line in record.lines():
        yield stamp, printable(line, keep="\t")


def plain_lines(record: LogRecord) -> Iterator[str]:
    """The lines of a record without colours, byte for byte those of dmesg(1)."""
    for stamp, line in record_lines(record):
        yield stamp + line


def styled(record: LogRecord) -> Text:
    """The lines of a record, coloured by level."""
    from rich.text import Text

    style = "" if record.level is None else _STYLES[record.level]
    lines = [Text.assemble((stamp, "green"), (line, style)) for stamp, line in record_lines(record)]
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "ignore"
    return text


def record_facts(record: LogRecord) -> dict[str, Any]:
    """The document of ``dmesg --json`` (docs/json.md)."""
    level = None if record.level is None else LEVELS[record.level]
    return {**asdict(record), "level": level}
