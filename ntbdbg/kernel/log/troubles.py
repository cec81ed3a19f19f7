# SPDX-License-Identifier: MIT
"""What in a kernel's log says that something went wrong, and which lines tell of a panic.

Only the log is read; texts are those of the kernel files named beside each pattern.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.kernel.log.ring import LogRecord

SECOND = 1_000_000_000

BEFORE_PANIC = 5 * SECOND
"""An oops so long before a panic is part of its story."""

MOST_LINES = 400
"""Of a panic; it is endless where a guest makes it so."""


class Kind(enum.Enum):
    """What a record tells of."""

    PANIC = "panic"
    OOPS = "oops"
    CORRUPTION = "corruption"
    HARD_LOCKUP = "hard lockup"
    SOFT_LOCKUP = "soft lockup"
    WORKQUEUE = "workqueue lockup"
    RCU_STALL = "RCU stall"
    HUNG_TASK = "hung task"
    OUT_OF_MEMORY = "out of memory"
    WARNING = "warning"


HANGS = frozenset(
    {Kind.HARD_LOCKUP, Kind.SOFT_LOCKUP, Kind.WORKQUEUE, Kind.RCU_STALL, Kind.HUNG_TASK}
)

#: the first that matches a line tells its kind
PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.PANIC, re.compile(r"^Kernel panic - not syncing: ")),  # kernel/panic.c
    (Kind.HARD_LOCKUP, re.compile(r"Watchdog detected hard LOCKUP on cpu ")),  # watchdog_hld.c
    (Kind.SOFT_LOCKUP, re.compile(r"BUG: soft lockup - CPU#")),  # kernel/watchdog.c
    (Kind.WORKQUEUE, re.compile(r"BUG: workqueue lockup")),  # kernel/workqueue.c
    (Kind.RCU_STALL, re.compile(r"INFO: rcu\w* (self-)?detected (expedited )?stall")),  # rcu/
    (Kind.HUNG_TASK, re.compile(r"^INFO: task .{1,80} blocked for more than ")),  # hung_task.c
    (Kind.OUT_OF_MEMORY, re.compile(r"^(Memory cgroup )?[Oo]ut of memory: ")),  # mm/oom_kill.c
    (Kind.CORRUPTION, re.compile(r"^(list_(add|del) (double add|corruption)|BUG: Bad page )")),
    (Kind.OOPS, re.compile(r"^(BUG: |general protection fault|Oops: |kernel BUG at )")),  # x86
    (Kind.WARNING, re.compile(r"^WARNING: (CPU: |\S+:\d+ at .{1,99}, CPU#)")),  # panic.c
)

END_OF_PANIC = re.compile(r"^---\[ end Kernel panic")
START_OF_STORY = re.compile(r"^------------\[ cut here \]")


@dataclass(frozen=True)
class Trouble:
    """One of them.

    :ivar time_ns: of the record, since boot
    :ivar text: the line
    """

    kind: Kind
    time_ns: int
    text: str


def troubles(records: Sequence[LogRecord]) -> list[Trouble]:
    """Everything in the log that tells of trouble, oldest first."""
    found = []
    for record in records:
        for line in record.text.split("\n"):
            kind = trouble_of(line)
            if kind is not None:
                found.append(Trouble(kind, record.time_ns, line))
                break
    return found


def panic_lines(records: Sequence[LogRecord]) -> list[str]:
    """The lines that tell of the last panic, from the oops that led to it on; [] if none."""
    last = next((n for n in range(len(records) - 1, -1, -1) if _is_panic(records[n])), None)
    if last is None:
        return []
    start = _start_of_story(records, last)
    lines: list[str] = []
    for index in range(start, len(records)):
        lines += records[index].text.split("\n")
        ended = index >= last and END_OF_PANIC.match(records[index].text)
        if ended or len(lines) >= MOST_LINES:
            break
    return lines[:MOST_LINES]


def _start_of_story(records: Sequence[LogRecord], panic: int) -> int:
    earliest = records[panic].time_ns - BEFORE_PANIC
    start = panic
    for index in range(panic, max(-1, panic - MOST_LINES), -1):
        record = records[index]
        if record.time_ns < earliest:
            break
        if START_OF_STORY.match(record.text) or trouble_of(record.text) not in (None, Kind.PANIC):
            start = index
    return start


def _is_panic(record: LogRecord) -> bool:
    return trouble_of(record.text) is Kind.PANIC


def trouble_of(line: str) -> Kind | None:
    """What a line of a log tells of; None for an ordinary one."""
    return next((kind for kind, pattern in PATTERNS if pattern.search(line[:1000])), None)
