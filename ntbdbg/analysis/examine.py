# SPDX-License-Identifier: MIT
"""Gathers a `Postmortem` from a lab, live or captured."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntbdbg.analysis.condition import condition_of
from ntbdbg.analysis.differences import Traits, differences
from ntbdbg.analysis.evidence import Evidence, Scene
from ntbdbg.analysis.ntbview import view_ntb
from ntbdbg.analysis.postmortem import Condition, GuestStory, LinkStory, Notable, Postmortem
from ntbdbg.analysis.recorded import recorded
from ntbdbg.analysis.summary import state_of, summarize
from ntbdbg.analysis.verdict import Severity, about
from ntbdbg.analysis.verdicts import verdicts
from ntbdbg.errors import NtbdbgError
from ntbdbg.kernel.log.troubles import panic_lines
from ntbdbg.kernel.tasks.system import system_info
from ntbdbg.lab.elsewhere import ram_elsewhere
from ntbdbg.ntb.findings import link_findings
from ntbdbg.units import format_numbers, short_size

if TYPE_CHECKING:
    from ntbdbg.analysis.backtraces import Stack
    from ntbdbg.analysis.ntbview import NtbViews
    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.analysis.summary import GuestSummary, LabSummary
    from ntbdbg.analysis.verdict import Verdict
    from ntbdbg.kernel.log.ring import KernelLog
    from ntbdbg.kernel.tasks.system import SystemInfo
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.lab import Lab

NS = 1_000_000_000
LOG_LINES = 60
"""Last lines of each guest's log that are kept."""

MOST_UNWOUND = 1000
"""Tasks whose stacks are looked at."""

MOST_STACKS = 32
"""Of those, how many are told."""


def examine(lab: Lab) -> Postmortem:
    """Look at every guest and the link; what cannot be read is told, never raised."""
    summary = summarize(lab)
    seen = tuple(_evidence(lab, guest) for guest in summary.guests)
    link = _link(lab, [one.guest for one in seen if one.guest and one.kernel])
    found = verdicts(Scene(lab, seen, link))
    stories = tuple(_Story(one).told(about(found, one.name)) for one in seen)
    return Postmortem(
        source=summary.path or summary.how,
        guests=stories,
        link=link,
        facts=tuple(_lab_facts(summary)),
        differences=tuple(differences([_traits(one) for one in seen if one.kernel])),
        notes=tuple(lab.notes),
        verdicts=found,
    )


def examine_guest(guest: Guest) -> tuple[SystemInfo, tuple[Verdict, ...]]:
    """Its kernel at a glance, and what is to be told first of it.

    :raises KernelError: no kernel is understood there
    """
    kernel, seen = guest.kernel, _evidence_of(guest)
    info = seen.info or system_info(kernel)
    return info, verdicts(Scene(guest.lab, (seen,)))


def examine_ntb(
    lab: Lab, guests: Sequence[Guest], views: NtbViews, problem: str = ""
) -> tuple[Verdict, ...]:
    """What is to be told first of `guests` and of the link.

    :param problem: why `views` have no link
    """
    names = _names(lab) if lab.link else {}
    link = link_story(lab, views) if views.link else LinkStory(None, names, problem=problem)
    return verdicts(Scene(lab, tuple(map(_evidence_of, guests)), link, views))


def _evidence_of(guest: Guest) -> Evidence:
    return Evidence(guest.name, state_of(guest), lambda: guest)


def _evidence(lab: Lab, summary: GuestSummary) -> Evidence:
    return Evidence(summary.name, summary.state, lambda: lab.guest(summary.name))


class _Story:
    """What is told of one guest."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def told(self, found: Sequence[Verdict]) -> GuestStory:
        """All of it; what was found of it may be that it hangs."""
        seen = self._evidence
        condition, why = condition_of(seen)
        if condition is Condition.RUNNING and any(v.severity is Severity.HUNG for v in found):
            condition = Condition.HUNG
        return GuestStory(
            name=seen.name,
            condition=condition,
            why=tuple(why),
            facts=tuple(self._facts()),
            panic=tuple(panic_lines(seen.log.records)) if seen.log else (),
            cpus=tuple(seen.attempt("CPUs", self._cpus) or ()),
            stuck=tuple(seen.attempt("tasks", self._stuck) or ()),
            modules=seen.modules or (),
            dmesg=tuple(_lines(seen.log)[-LOG_LINES:]) if seen.log else (),
            problems=(*seen.problems, *(seen.attempt("RAM", self._elsewhere) or ())),
            besides=tuple(_besides(seen)[-LOG_LINES:]),
        )

    def _elsewhere(self) -> list[str]:
        guest = self._evidence.guest
        return ram_elsewhere(guest) if guest and self._evidence.kernel else []

    def _cpus(self) -> list[Notable]:
        traces = self._evidence.traces
        if traces is None:
            return []
        info = self._evidence.info
        panicked = info.panic_cpu if info else None
        return [
            _noted(stack, "panicked here" if stack.cpu == panicked else "")
            for stack in traces.cpus()
        ]

    def _stuck(self) -> list[Notable]:
        """Tasks that wait and cannot be interrupted, and those inside an NTB driver."""
        traces = self._evidence.traces
        if traces is None:
            return []
        found = traces.tasks(lambda task: not task.running)
        notable = (
            Notable(stack, why)
            for stack in itertools.islice(found, MOST_UNWOUND)
            if (why := _why_notable(stack))
        )
        return list(itertools.islice(notable, MOST_STACKS))

    def _facts(self) -> Iterator[tuple[str, str]]:
        info, modules = self._evidence.info, self._evidence.modules
        if info is None:
            return
        yield "kernel", " ".join(filter(None, (info.release, info.version)))
        if info.clocks:
            yield "uptime", f"{info.clocks.boottime_ns / NS:.3f} s"
        if info.memory_total is not None and info.memory_free is not None:
            total, free = short_size(info.memory_total), short_size(info.memory_free)
            yield "memory", f"{free} of {total} free"
        if info.cpus_online:
            yield "CPUs", format_numbers(info.cpus_online)
        if info.taints:
            yield "taints", info.taints
        if modules:
            yield "modules", " ".join(module.name for module in modules)
        if info.command_line:
            yield "command line", info.command_line


def _traits(seen: Evidence) -> Traits:
    info, modules = seen.info, seen.modules
    return Traits(
        seen.name,
        {
            "kernel": (info.release, info.version) if info else None,
            "CPUs online": len(info.cpus_online) if info and info.cpus_online else None,
            "bytes of memory": info.memory_total if info else None,
            "taints": info.taints if info else None,
        },
        {"module": None if modules is None else frozenset(m.name for m in modules)},
    )


def _noted(stack: Stack, why: str) -> Notable:
    trace = stack.trace
    ending = "came from user space" if trace.end == "user" and not trace.frames else ""
    return Notable(stack, why or ending)


def _why_notable(stack: Stack) -> str:
    if stack.state == "D":
        return "waits and cannot be interrupted"
    inside = re.search(r"\[(ntb\w*)\]", " ".join(stack.trace.names))
    return f"in {inside[1]}" if inside else ""


def _besides(seen: Evidence) -> list[str]:
    """Lines of the log that belong to no panic and no incident."""
    if seen.log is None:
        return []
    told = {line for one in seen.incidents for line in one.lines}
    told.update(panic_lines(seen.log.records))
    return [line for line in _lines(seen.log) if line.partition("] ")[2] not in told]


def _lines(log: KernelLog) -> list[str]:
    """As dmesg prints them, control characters and all."""
    return [stamp + line for record in log.records for stamp, line in record.lines()]


def _link(lab: Lab, guests: Sequence[Guest]) -> LinkStory:
    if lab.link is None or lab.manifest is None:
        return LinkStory(None, problem="there is none")
    try:
        views = view_ntb(guests, lab.page())
    except NtbdbgError as error:
        return LinkStory(None, _names(lab), problem=error.message)
    for view in views.guests:
        if view.problem:
            lab.note(f"{view.guest}: its driver is not compared: {view.problem.message}")
    return link_story(lab, views)


def link_story(lab: Lab, views: NtbViews) -> LinkStory:
    """What is told of the link, whose drivers and devices were compared."""
    names = _names(lab)
    story, why = _recorded(lab)
    events = story.story.events if story else ()
    compared = [view for view in views.guests if view.disagreements is not None]
    return LinkStory(
        views.link,
        names,
        tuple(link_findings(views.link, names, events)) if views.link else (),
        tuple(view.guest for view in compared),
        tuple((view.guest, str(one)) for view in compared for one in view.disagreements or ()),
        recorded=story,
        unrecorded=why,
    )


def _recorded(lab: Lab) -> tuple[Recorded | None, str]:
    """The flight recorders, or why there is nothing in them."""
    try:
        return recorded(lab), ""
    except NtbdbgError as error:
        return None, error.message


def _names(lab: Lab) -> dict[int, str]:
    return {record.index: record.name for record in lab.manifest.guests} if lab.manifest else {}


def _lab_facts(summary: LabSummary) -> Iterator[tuple[str, str]]:
    capture = summary.capture
    if capture is None:
        yield "lab", f"{summary.name or 'none'}, {summary.state or 'not of a launcher'}"
        return
    yield "lab", summary.name or "none"
    yield "moment", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(capture.moment))
    yield "standstill", f"{capture.standstill * 1000:.1f} ms"
    if not capture.consistent:
        yield "consistent", "no: something still ran when it was taken"
    if capture.reason:
        yield "taken because", capture.reason
    yield "taken by", capture.program
