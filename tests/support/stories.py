# SPDX-License-Identifier: MIT
"""A postmortem with everything in it, and the pages that go with it, without any guest."""

from __future__ import annotations

import dataclasses

from ntbdbg.analysis.backtraces import Stack
from ntbdbg.analysis.postmortem import Condition, GuestStory, LinkStory, Notable, Postmortem
from ntbdbg.analysis.recorded import Recorded
from ntbdbg.analysis.reported import Dump, GuestPages
from ntbdbg.analysis.verdict import LINK, Severity, Verdict
from ntbdbg.inspect.pagemap import page_changes, page_usage, stretches
from ntbdbg.kernel.stacks.backtrace import Backtrace, Named
from ntbdbg.kernel.stacks.unwind import Frame
from ntbdbg.kernel.tasks.tasks import Task
from ntbdbg.memory.buffer import BufferMemory
from ntbdbg.memory.segments import Segment
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.findings import link_findings
from ntbdbg.ntb.kinds import Kind, Quiet
from ntbdbg.ntb.sharedpage import PageBytes
from ntbdbg.ntb.story import read_story
from tests.support.fakeswitch import FakeSwitch

NAMES = {0: "qemu1", 1: "qemu2"}
SIZE = 1 << 20
FRAMES = ("pp_ping+0x42 [ntb_pingpong]", "worker_thread+0xaf", "kthread+0xda", "ret_from_fork+0x22")
HOSTILE = "<script>alert(1)</script> \x1b[31m & \x00"


def link_story() -> LinkStory:
    """A linked pair: a window each way, a doorbell masked, one driver at odds with its device."""
    switch = FakeSwitch()
    for part in NAMES:
        switch.publish_ram(part, [Segment(0, SIZE, 0)])
    switch.link_up()
    switch.translate(0, address=0x40000, size=0x10000)
    switch.translate(1, address=0x80000, size=0x8000)
    switch.port(1).indbellmsk = 0xF0
    switch.ring(1, 0x10)
    switch.update_open()
    link = decode_page(switch.build(), "page")
    return LinkStory(
        link,
        dict(NAMES),
        tuple(link_findings(link, NAMES)),
        ("qemu1", "qemu2"),
        (("qemu1", "the driver masks 0x1, INDBELLMSK is 0x3"),),
    )


def recorded_link() -> LinkStory:
    """The same link, with doorbells of which the last is masked, and a machine held still."""
    switch = FakeSwitch()
    rings = switch.record()
    for number in range(30):
        rings.record(0, number * 10**9, Kind.DB_SENT, num=2, a=number)
    rings.record(1, 29 * 10**9, Kind.QUIET, num=Quiet.DB_MASKED, a=1)
    rings.record(0, 30 * 10**9, Kind.RUN, num=0, a=1)
    story = Recorded(read_story(PageBytes("page", switch.build())), NAMES)
    return dataclasses.replace(link_story(), recorded=story)


def trace(problem: str = "") -> Backtrace:
    """The stack that everybody in the story has."""
    named = (Named(Frame(0xFFFFFFFF81000000, 0, "call"), name) for name in FRAMES)
    return Backtrace(tuple(named), "", problem)


def story() -> Postmortem:
    """One guest panicked, the other waits."""
    panicked = GuestStory(
        "qemu1",
        Condition.PANICKED,
        why=("panic: sysrq triggered crash",),
        facts=(("kernel", "6.1.0-56-amd64"), ("uptime", "132 s")),
        panic=("Kernel panic - not syncing: sysrq triggered crash", HOSTILE),
        cpus=(
            Notable(Stack(0, 0, "swapper/0", "", True, trace()), "idle"),
            Notable(
                Stack(1, 217, "bash", "", True, trace("the stack is damaged")), "panicked here"
            ),
        ),
        dmesg=("[    1.000000] hello", f"[    2.000000] {HOSTILE}"),
        besides=("[    1.000000] hello",),
    )
    waiting = GuestStory(
        "qemu2",
        Condition.RUNNING,
        facts=(("kernel", "6.1.0-56-amd64"),),
        stuck=(Notable(Stack(0, 33, "kworker/0:1", "D", False, trace()), "has waited for 140 s"),),
        dmesg=("[    2.000000] needle in qemu2's log",),
        besides=("[    2.000000] needle in qemu2's log",),
        problems=("modules: the list is damaged after 3",),
    )
    return Postmortem(
        "before.cap",
        (panicked, waiting),
        link_story(),
        facts=(("taken", "2026-11-26 16:00:01"), ("standstill", "3.2 ms")),
        differences=("qemu1 has module ntb_tool, qemu2 has not",),
        notes=("qemu2 had no registers",),
        verdicts=(
            Verdict(
                Severity.PANICKED,
                "qemu1",
                "panic at 131.2 s: sysrq triggered crash",
                place="pp_ping+0x42/0x80 [ntb_pingpong]",
                details=("RIP: pp_ping+0x42/0x80 [ntb_pingpong]",),
            ),
            Verdict(Severity.WARNED, "qemu1", f"warning at 1.2 s: {HOSTILE}"),
            Verdict(Severity.WRONG, LINK, "up; qemu1: driver against device: masks differ"),
            Verdict(Severity.NOTABLE, LINK, "up"),
            Verdict(Severity.FINE, "qemu2", "it runs, its log tells of no trouble"),
        ),
    )


def pages() -> list[GuestPages]:
    """Memory of both guests, some of it changed."""
    before = BufferMemory(bytes(SIZE))
    after = bytearray(SIZE)
    after[0x40000:0x42000] = b"x" * 0x2000
    memory = BufferMemory(after)
    tasks = (
        Task(1, 1, 0, "init", "S", 0, False, False, 1, 0xFFFF888000001000),
        Task(217, 217, 1, HOSTILE, "R", 1, True, False, 1, 0xFFFF888000002000),
    )
    return [
        GuestPages(
            name,
            tuple(stretches(memory)),
            tuple(page_usage(memory)),
            tuple(page_changes(before, memory)),
            tasks=tasks,
        )
        for name in NAMES.values()
    ]


DUMPS = [
    Dump("qemu1:mw0", "reaches qemu2:0x40000", 0x40000, b"xxxx" * 8),
]
