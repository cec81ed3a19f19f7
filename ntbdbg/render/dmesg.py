# SPDX-License-Identifier: MIT
"""A kernel's log as dmesg prints it, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.text import Text

    from ntbdbg.kernel.log.ring import LogRecord

LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
"""Names of the levels 0 to 7, as dmesg(1) has them."""

_STYLES = ("bold red", "bold red", "bold red", "red", "bold", "", "", "dim")


FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
"""Names of the facilities from 0 on: RFC 5424, table 1; the first twelve are dmesg's."""


def record_lines(record: LogRecord, *, decoded: bool = False) -> Iterator[tuple[str, str]]:
    """(time stamp, text) of each line; control characters but tabs are escaped.

    :param decoded: facility and level before the time, as ``dmesg --decode`` has them, and the
        caller behind it
    """
    before, behind = (_origin(record), f"[{record.caller:>6}] ") if decoded else ("", "")
    for stamp, line in record.lines():
        yield before + stamp + behind, printable(line, keep="\t")


def _origin(record: LogRecord) -> str:
    """``kern  :warn  : ``."""
    known = record.facility is not None and record.facility < len(FACILITIES)
    facility = FACILITIES[record.facility or 0] if known else str(record.facility or "?")
    level = "?" if record.level is None else LEVELS[record.level]
    return f"{facility:<6}:{level:<6}: "


def plain_lines(record: LogRecord, *, decoded: bool = False) -> Iterator[str]:
    """The lines of a record without colours, byte for byte those of dmesg(1)."""
    for stamp, line in record_lines(record, decoded=decoded):
        yield stamp + line


def styled(record: LogRecord, *, decoded: bool = False) -> Text:
    """The lines of a record, coloured by level."""
    from rich.text import Text

    style = "" if record.level is None else _STYLES[record.level]
    lines = [
        Text.assemble((stamp, "green"), (line, style))
        for stamp, line in record_lines(record, decoded=decoded)
    ]
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "ignore"
    return text


def record_facts(record: LogRecord) -> dict[str, Any]:
    """The document of ``dmesg --json`` (docs/json.md)."""
    level = None if record.level is None else LEVELS[record.level]
    return {**asdict(record), "level": level}
