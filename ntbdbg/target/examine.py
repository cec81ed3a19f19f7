# SPDX-License-Identifier: MIT
"""Gathers a `Postmortem` from a lab, live or captured."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ntbdbg.errors import NtbdbgError
from ntbdbg.kernel.system import read_log, system_info
from ntbdbg.kernel.troubles import HANGS, panic_lines
from ntbdbg.memory.number import format_size
from ntbdbg.ntb.findings import link_findings
from ntbdbg.target.backtraces import Backtraces
from ntbdbg.target.differences import Traits, differences
from ntbdbg.target.ntbview import view_ntb
from ntbdbg.target.postmortem import Condition, GuestStory, LinkStory, Notable, Postmortem
from ntbdbg.target.summary import summarize

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.kernel.printk import KernelLog
    from ntbdbg.kernel.troubles import Trouble
    from ntbdbg.target.backtraces import Stack
    from ntbdbg.target.guest import Guest
    from ntbdbg.target.lab import Lab
    from ntbdbg.target.summary import GuestSummary, LabSummary

T = TypeVar("T")

NS = 1_000_000_000
LOG_LINES = 60
"""Last lines of each guest's log that are kept."""

RECENT = 180 * NS
"""A hang that the log told of so long before the guest's clock stopped may still go on."""

MOST_UNWOUND = 1000
"""Tasks whose stacks are looked at."""

MOST_STACKS = 32
"""Of those, how many are told."""

STATES = {
    "running": Condition.RUNNING,
    "alive": Condition.RUNNING,
    "paused": Condition.PAUSED,
    "suspended": Condition.PAUSED,
    "guest-panicked": Condition.PANICKED,
    "dead": Condition.DEAD,
}
"""What QEMU's run state says by itself."""


def examine(lab: Lab) -> Postmortem:
    """Look at every guest and the link; what cannot be read is told, never raised."""
    summary = summarize(lab)
    seen = [_Examination(lab, guest) for guest in summary.guests]
    return Postmortem(
        source=summary.path or summary.how,
        guests=tuple(one.story() for one in seen),
        link=_link(lab, [one.guest for one in seen if one.guest and one.kernel]),
        facts=tuple(_lab_facts(summary)),
        differences=tuple(differences([one.traits for one in seen if one.traits])),
        notes=tuple(lab.notes),
    )


class _Examination:
    """Of one guest: what failed is kept in `problems`.

    :ivar traits: what can be compared with other guests, None if its kernel is not understood
    """

    def __init__(self, lab: Lab, summary: GuestSummary) -> None:
        self.summary = summary
        self.problems: list[str] = []
        self.guest = self._try("memory", lambda: lab.guest(summary.name))
        self.kernel = self._try("kernel", self._kernel) if self.guest else None
        self.log = self._ask("log", read_log)
        self.info = self._ask("system", lambda kernel: system_info(kernel, self.log))
        self.modules = self._ask("modules", lambda kernel: tuple(kernel.modules()))
        guest = self.guest
        self._traces = self._ask("backtraces", lambda _: Backtraces(guest)) if guest else None
        self.traits = self._traits() if self.kernel else None

    def story(self) -> GuestStory:
        """What is to be told."""
        condition, why = self._condition()
        return GuestStory(
            name=self.summary.name,
            condition=condition,
            why=tuple(why),
            facts=tuple(self._facts()),
            panic=tuple(panic_lines(self.log.records)) if self.log else (),
            cpus=tuple(self._try("CPUs", self._cpus) or ()),
            stuck=tuple(self._try("tasks", self._stuck) or ()),
            modules=self.modules or (),
            dmesg=tuple(_lines(self.log)[-LOG_LINES:]) if self.log else (),
            problems=tuple(self.problems),
        )

    def _try(self, what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except NtbdbgError as error:
            self.problems.append(f"{what}: {error.message}")
            return None

    def _ask(self, what: str, ask: Callable[[Kernel], T]) -> T | None:
        kernel = self.kernel
        return self._try(what, lambda: ask(kernel)) if kernel else None

    def _kernel(self) -> Kernel:
        assert self.guest
        return self.guest.kernel

    def _cpus(self) -> list[Notable]:
        traces = self._traces
        if traces is None:
            return []
        panicked = self.info.panic_cpu if self.info else None
        return [
            _noted(stack, "panicked here" if stack.cpu == panicked else "")
            for stack in traces.cpus()
        ]

    def _stuck(self) -> list[Notable]:
        """Tasks that wait and cannot be interrupted, and those inside an NTB driver."""
        traces = self._traces
        if traces is None:
            return []
        found = traces.tasks(lambda task: not task.running)
        notable = (
            Notable(stack, why)
            for stack in itertools.islice(found, MOST_UNWOUND)
            if (why := _why_notable(stack))
        )
        return list(itertools.islice(notable, MOST_STACKS))

    def _condition(self) -> tuple[Condition, list[str]]:
        """In the order of how sure a sign is: QEMU's state, the kernel's own words, its log."""
        condition = STATES.get(self.summary.state, Condition.UNKNOWN)
        why = [] if condition is Condition.RUNNING else [f"QEMU says: {self.summary.state}"]
        if self.info is None:
            return condition, why
        if self.info.panic_cpu is not None:
            why.append(f"its kernel panicked on CPU {self.info.panic_cpu}")
            condition = Condition.PANICKED if condition is not Condition.DEAD else condition
        signs = self._signs()
        if any(sign.kind in HANGS for sign in signs) and condition is Condition.RUNNING:
            condition = Condition.HUNG
        why += [f"{sign.kind.value} at {sign.time_ns / NS:.6f} s: {sign.text}" for sign in signs]
        return condition, why

    def _signs(self) -> list[Trouble]:
        """The last of each kind of trouble; hangs only if they may still go on."""
        last = {trouble.kind: trouble for trouble in self.info.trouble} if self.info else {}
        now = self._clock()
        return [t for t in last.values() if t.kind not in HANGS or now - t.time_ns <= RECENT]

    def _clock(self) -> int:
        """Nanoseconds since its boot."""
        if self.info and self.info.clocks:
            return self.info.clocks.boottime_ns
        records = self.log.records if self.log else ()
        return records[-1].time_ns if records else 0

    def _facts(self) -> Iterator[tuple[str, str]]:
        info = self.info
        if info is None:
            return
        yield "kernel", " ".join(filter(None, (info.release, info.version)))
        if info.clocks:
            yield "uptime", f"{info.clocks.boottime_ns / NS:.3f} s"
        if info.memory_total is not None and info.memory_free is not None:
            total, free = format_size(info.memory_total), format_size(info.memory_free)
            yield "memory", f"{free} of {total} free"
        if info.cpus_online:
            yield "CPUs", ", ".join(map(str, info.cpus_online))
        if info.taints:
            yield "taints", info.taints
        if self.modules:
            yield "modules", " ".join(module.name for module in self.modules)
        if info.command_line:
            yield "command line", info.command_line

    def _traits(self) -> Traits:
        info = self.info
        return Traits(
            self.summary.name,
            {
                "kernel": (info.release, info.version) if info else None,
                "CPUs online": len(info.cpus_online) if info and info.cpus_online else None,
                "bytes of memory": info.memory_total if info else None,
                "taints": info.taints if info else None,
            },
            {"module": None if self.modules is None else frozenset(m.name for m in self.modules)},
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


def _lines(log: KernelLog) -> list[str]:
    """As dmesg prints them, control characters and all."""
    return [stamp + line for record in log.records for stamp, line in record.lines()]


def _link(lab: Lab, guests: Sequence[Guest]) -> LinkStory:
    if lab.link is None or lab.manifest is None:
        return LinkStory(None, problem="there is none")
    names = {record.index: record.name for record in lab.manifest.guests}
    try:
        views = view_ntb(guests, lab.page())
    except NtbdbgError as error:
        return LinkStory(None, names, problem=error.message)
    for view in views.guests:
        if view.problem:
            lab.note(f"{view.guest}: its driver is not compared: {view.problem.message}")
    compared = [view for view in views.guests if view.disagreements is not None]
    return LinkStory(
        views.link,
        names,
        tuple(link_findings(views.link, names)) if views.link else (),
        tuple(view.guest for view in compared),
        tuple((view.guest, str(one)) for view in compared for one in view.disagreements or ()),
    )


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
