# SPDX-License-Identifier: MIT
"""What a person wants to know first about a lab that went wrong, gathered into one object.

`examine` never fails on account of a guest: whatever cannot be read or understood is part of
the answer, with its reason.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntbdbg.ntb.kinds import Kind

if TYPE_CHECKING:
    from ntbdbg.analysis.backtraces import Stack
    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.analysis.verdict import Verdict
    from ntbdbg.kernel.modules.modules import Module
    from ntbdbg.ntb.findings import Finding
    from ntbdbg.ntb.model import Link
    from ntbdbg.ntb.recorder import Event


class Condition(enum.Enum):
    """How a guest is, in the word that a person would use."""

    RUNNING = "running"
    PAUSED = "paused"
    HUNG = "hung"
    PANICKED = "panicked"
    DEAD = "dead"
    UNKNOWN = "unknown"


LAST_EVENTS = 20


@dataclass(frozen=True)
class Notable:
    """What a CPU or task was doing.

    :ivar why: what makes it notable, empty if nothing does
    """

    stack: Stack
    why: str


@dataclass(frozen=True)
class GuestStory:
    """One guest.

    :ivar why: what `condition` follows from, a clause each
    :ivar facts: name and value: kernel, uptime, memory, modules, …
    :ivar panic: lines of the panic, from its first to the end of its trace
    :ivar cpus: what every CPU was doing
    :ivar stuck: tasks that wait and should not
    :ivar modules: those loaded
    :ivar dmesg: the last lines
    :ivar problems: what could not be read, with its reason
    :ivar besides: the last lines that are of nothing that `panic` or verdicts tell
    """

    name: str
    condition: Condition
    why: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    panic: tuple[str, ...] = ()
    cpus: tuple[Notable, ...] = ()
    stuck: tuple[Notable, ...] = ()
    modules: tuple[Module, ...] = ()
    dmesg: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkStory:
    """The link.

    :ivar link: its state, None where there is none, or it cannot be read
    :ivar names: by partition, the guest
    :ivar findings: what is notable about each port
    :ivar compared: guests whose driver was compared with its device
    :ivar disagreements: driver against device: guest and a sentence
    :ivar problem: why there is no link, empty if there is one
    :ivar recorded: what the ports have written down, None if nothing can be read
    :ivar unrecorded: why not
    """

    link: Link | None
    names: dict[int, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    compared: tuple[str, ...] = ()
    disagreements: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    recorded: Recorded | None = None
    unrecorded: str = ""

    @property
    def last_events(self) -> list[Event]:
        """Those that are told as text."""
        return self.last(LAST_EVENTS)

    def last(self, count: int) -> list[Event]:
        """The last events before now; that a machine is held still to be looked at is none."""
        events = list(self.recorded.story.events) if self.recorded else []
        while events and events[-1].kind == Kind.RUN and not events[-1].num:
            events.pop()
        return events[-count:]

    @property
    def level(self) -> str:
        """``up``, ``partly up``, ``down``, ``no peer``; empty if the link cannot be read."""
        if self.link is None:
            return ""
        parts = [port.partition for port in self.link.ports if port.partition in self.names]
        states = {self.link.sees_up(a, b) for a in parts for b in parts if a != b}
        if not states:
            return "no peer"
        return "up" if states == {True} else "partly up" if True in states else "down"

    @property
    def good_news(self) -> list[str]:
        """What was looked at and found to be in order, a sentence each."""
        told = [] if self.findings or self.link is None else ["nothing waits, is masked or refused"]
        if self.compared and not self.disagreements:
            whose = " and ".join(self.compared)
            told.append(f"driver and device agree in {whose}")
        return told


@dataclass(frozen=True)
class Postmortem:
    """All of it.

    :ivar source: what was looked at: a capture's path, a lab's name
    :ivar verdicts: what is to be told first, the worst first
    :ivar facts: name and value: when it was taken, how long the guests stood still, …
    :ivar differences: what differs between the guests and should perhaps not
    :ivar notes: what was assumed
    """

    source: str
    guests: tuple[GuestStory, ...]
    link: LinkStory
    facts: tuple[tuple[str, str], ...] = ()
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
