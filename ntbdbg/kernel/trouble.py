# SPDX-License-Identifier: MIT
"""Lines of a kernel's log that say it is in trouble."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.kernel.printk import PrintkRing

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel

MOST = 8
"""Of the newest."""

KINDS = {
    "panic": r"Kernel panic - not syncing",
    "oops": r"Oops: |general protection fault|BUG: (?!workqueue)|kernel BUG at |Unable to handle",
    "lockup": r"watchdog: BUG: soft lockup|hard LOCKUP|BUG: workqueue lockup",
    "hung task": r"INFO: task .{1,80} blocked (?:for|in) ",
    "stall": r"rcu: INFO: .{1,80} (?:detected|self-detected) stall",
    "warning": r"WARNING: CPU: ",
    "out of memory": r"Out of memory: |oom-kill:",
}
"""Beginnings as kernel/panic.c, kernel/hung_task.c, kernel/watchdog.c, kernel/rcu/tree_stall.h, …
print them; of several that fit the later one counts."""

_ANY = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}


@dataclass(frozen=True)
class Trouble:
    """One such line.

    :ivar kind: key of `KINDS`
    :ivar time_ns: since boot
    """

    kind: str
    time_ns: int
    text: str


def find_trouble(kernel: Kernel) -> tuple[Trouble, ...]:
    """The newest `MOST` lines of trouble in the log, oldest first; errors as of `PrintkRing`."""
    log = PrintkRing(kernel.virtual, kernel.info).read()
    found = [
        Trouble(kind, record.time_ns, line)
        for record in log.records
        for line in record.text.split("\n")
        if (kind := kind_of(line)) is not None
    ]
    return tuple(found[-MOST:])


def kind_of(line: str) -> str | None:
    """The kind of trouble that a line of the log tells of, None for any other line."""
    return next((kind for kind in reversed(_ANY) if _ANY[kind].search(line[:1000])), None)
