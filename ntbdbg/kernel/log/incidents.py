# SPDX-License-Identifier: MIT
"""What a kernel's log tells of trouble, each with its place, its task and its trace.

A kernel in trouble prints many records: what it is, registers, the trace, modules. Those of one
incident come from one caller; an end mark, silence or the next incident ends them. Texts are those
of ``arch/x86/kernel/dumpstack.c``, ``arch/x86/mm/fault.c``, ``kernel/panic.c``,
``kernel/watchdog.c``, ``kernel/hung_task.c`` and ``lib/list_debug.c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.kernel.log.troubles import END_OF_PANIC, SECOND, START_OF_STORY, Kind, trouble_of

if TYPE_CHECKING:
    from ntbdbg.kernel.log.ring import LogRecord

MOST_INCIDENTS = 64
"""Of one log, the newest."""

MOST_READ = 1 << 15
"""Lines of the log that are looked at, the newest."""

MOST_LINES = 200
"""Of an incident: an oops has about 60."""

SILENCE = 2 * SECOND
"""After so long without a line of it, an incident is over; a serial console is slow."""

END = re.compile(r"^---\[ end (trace|Kernel panic)")
RIP = re.compile(r"^RIP: 0010:(\S+(?: \[\w+\])?)")
_TASK = re.compile(
    r"^CPU: (\d{1,5}) (?:UID: \d+ )?PID: (\d{1,7}) Comm: (.{1,15}?) +(?:Not t|T)aint"
)
_HUNG = re.compile(r"^INFO: task (.{1,80}):(\d{1,7}) blocked for ")
_TAIL = re.compile(r"^(RIP|Code|R[A-Z0-9]{2}|[CDF]S|CR\d|DR\d|PKRU|note): ")
"""What x86 says once more behind the end mark of an oops."""

_TRACE = re.compile(r"^Call Trace:")
_FRAME = re.compile(r"^ (\? )?(\S+\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?)\s*$")
_MARK = re.compile(r"^ </?\w+>")

_CONTINUES = {
    Kind.OOPS: {Kind.OOPS, Kind.CORRUPTION},
    Kind.CORRUPTION: {Kind.WARNING},
    Kind.WARNING: {Kind.CORRUPTION},
    Kind.PANIC: set(Kind) - {Kind.PANIC},
}
"""A line of this kind may continue an incident of those: ``BUG:``, ``Oops:`` and a panic."""


@dataclass(frozen=True)
class Incident:
    """One of them.

    :ivar time_ns: of its first record, since boot
    :ivar headline: the line that says what it is
    :ivar place: ``my_write+0x12/0x20 [my]``, as RIP has it; empty if it is not told
    :ivar task: what ran, or waits: name and pid; empty if it is not told
    :ivar cpu: where, None if it is not told
    :ivar trace: frames, innermost first, without those that the kernel itself doubts (``?``)
    :ivar lines: all of it, as logged
    """

    kind: Kind
    time_ns: int
    headline: str
    place: str
    task: str
    cpu: int | None
    trace: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """The lines that matter: what, where, and how it came there."""
        where = (f"RIP: {self.place}",) if self.place else ()
        frames = tuple(f"  {frame}" for frame in self.trace)
        return (self.headline, *where, *(("Call Trace:", *frames) if frames else ()))


class _Line(NamedTuple):
    time_ns: int
    caller: str
    text: str


def incidents(records: Sequence[LogRecord]) -> list[Incident]:
    """Everything in the log that tells of trouble, the oldest first."""
    lines = [
        _Line(record.time_ns, record.caller, text)
        for record in records
        for text in record.text.split("\n")
    ]
    lines = lines[-MOST_READ:]
    found = _begun(lines)[-MOST_INCIDENTS:]
    return [_incident(lines, *one) for one in found]


class _Begun(NamedTuple):
    """Where an incident begins, its worst kind, and the next one's begin by the same caller."""

    start: int
    kind: Kind
    end: int


def _begun(lines: Sequence[_Line]) -> list[_Begun]:
    found: list[_Begun] = []
    latest: dict[str, int] = {}  # by caller, index into `found`
    for index, line in enumerate(lines):
        kind = trouble_of(line.text)
        if kind is None:
            continue
        before = latest.get(line.caller)
        if before is not None and _goes_on(lines, found[before], index, kind):
            if kind in (Kind.OOPS, Kind.CORRUPTION, Kind.PANIC):
                found[before] = found[before]._replace(kind=kind)
            continue
        if before is not None:
            found[before] = found[before]._replace(end=index)
        latest[line.caller] = len(found)
        found.append(_Begun(index, kind, len(lines)))
    return found


def _goes_on(lines: Sequence[_Line], begun: _Begun, index: int, kind: Kind) -> bool:
    """Whether line `index`, of that kind, belongs to what the same caller began before."""
    if begun.kind not in _CONTINUES.get(kind, ()):
        return False
    own = list(_until(lines, begun.start, index, through_ends=kind is Kind.PANIC))
    is_next = own[-1][0] < index and lines[index].time_ns - own[-1][1].time_ns <= SILENCE
    ended = any(END.match(line.text) for _, line in own)
    return is_next and (kind is Kind.PANIC or not ended)


def _until(
    lines: Sequence[_Line], start: int, end: int, *, through_ends: bool
) -> Iterator[tuple[int, _Line]]:
    """Lines of one caller: to silence, or the end mark."""
    latest, count, ended = lines[start].time_ns, 0, False
    for index in range(start, min(end, start + 8 * MOST_LINES)):
        line = lines[index]
        if line.caller != lines[start].caller:
            continue
        if line.time_ns - latest > SILENCE or count == MOST_LINES:
            return
        if ended and not through_ends and not _TAIL.match(line.text):
            return
        latest, count = line.time_ns, count + 1
        yield index, line
        ended = ended or bool(END.match(line.text))
        if END_OF_PANIC.match(line.text):
            return


def _incident(lines: Sequence[_Line], start: int, kind: Kind, end: int) -> Incident:
    own = _until(lines, start, end, through_ends=kind is Kind.PANIC)
    told = _without_next([line.text for _, line in own])
    cpu, task = _who(told)
    return Incident(
        kind=kind,
        time_ns=lines[start].time_ns,
        headline=_headline(lines, start, told),
        place=_place(told),
        task=task,
        cpu=cpu,
        trace=tuple(_trace(told)),
        lines=tuple(told),
    )


def _place(told: Sequence[str]) -> str:
    found = next((found[1] for line in told if (found := RIP.match(line))), "")
    warned = _HEAD_OF_WARNING.match(told[0])
    return found or (warned[2].rstrip(",") if warned else "")


def _without_next(told: list[str]) -> list[str]:
    """The mark before the next incident, and what a WARN says behind it, are not of this one."""
    for index in range(max(1, len(told) - 2), len(told)):
        if START_OF_STORY.match(told[index]):
            return told[:index]
    return told


_HEAD_OF_WARNING = re.compile(
    r"^WARNING: (?:CPU: \d+ PID: \d+ at )?(\S+:\d+)(?: at)? (\S+(?: \[\w+\])?)"
)


def _headline(lines: Sequence[_Line], start: int, told: Sequence[str]) -> str:
    """The line itself; of a WARN what it was given to say, and its place in the source."""
    first = told[0]
    source = _HEAD_OF_WARNING.match(first)
    if source is None:
        return first
    says = _said(lines, start, told)
    return f"{says} ({source[1]})" if says else source[1]


def _said(lines: Sequence[_Line], start: int, told: Sequence[str]) -> str:
    """__warn_printk says it before, right behind "cut here"; __warn behind its own line."""
    before = lines[max(0, start - 2) : start]
    own = all(line.caller == lines[start].caller for line in before)
    if len(before) == 2 and own and START_OF_STORY.match(before[0].text):
        return before[1].text
    is_whole = any(line.startswith("CPU: ") for line in told)
    said = is_whole and not told[1].startswith(("Modules linked in:", "CPU: "))
    return told[1] if said else ""


def _who(lines: Iterable[str]) -> tuple[int | None, str]:
    for line in lines:
        if found := _TASK.match(line):
            return int(found[1]), f"{found[3]} (pid {found[2]})"
        if found := _HUNG.match(line):
            return None, f"{found[1]} (pid {found[2]})"
    return None, ""


def _trace(lines: Sequence[str]) -> Iterator[str]:
    """Frames of the first trace."""
    start = next((n for n, line in enumerate(lines) if _TRACE.match(line)), len(lines))
    for line in lines[start + 1 :]:
        if found := _FRAME.match(line):
            if not found[1]:
                yield found[2]
        elif not _MARK.match(line):
            break
