# SPDX-License-Identifier: MIT
"""Backtraces as text and as JSON."""

from __future__ import annotations

from ntbdbg.analysis.backtraces import OFFLINE, Stack
from ntbdbg.kernel.stacks.backtrace import Backtrace, Named
from ntbdbg.kernel.stacks.unwind import Frame
from ntbdbg.render.backtrace import cpu_blocks, stack_facts, stack_lines

TEXT = 0xFFFF_FFFF_8100_0000
STACK = Stack(
    1,
    7,
    "worker",
    "D",
    False,
    Backtrace(
        (
            Named(Frame(TEXT, 0x10, "inlined", function="swap", source="core.c:7"), "swap"),
            Named(Frame(TEXT, 0x10, "switched", source="core.c:9"), "schedule+0x5"),
            Named(Frame(TEXT + 9, 0x40, "interrupted", reliable=False), None),
        ),
        "",
        "nobody knows more",
        ("no debug information of ntb",),
    ),
)


def test_lines() -> None:
    assert list(stack_lines(STACK)) == [
        "pid 7 worker, D, last on CPU 1",
        "  #0  ffffffff81000000 swap  core.c:7  <inlined>",
        "  #1  ffffffff81000000 schedule+0x5  core.c:9",
        "  #2  ffffffff81000009 ? -  <interrupted here>",
        "     (nobody knows more)",
        "     (no debug information of ntb)",
    ]


def test_facts() -> None:
    facts = stack_facts(STACK)
    assert [frame["kind"] for frame in facts["frames"]] == ["inlined", "switched", "interrupted"]
    assert [frame["source"] for frame in facts["frames"]] == ["core.c:7", "core.c:9", None]
    assert facts["notes"] == ["no debug information of ntb"]


def on_cpu(cpu: int, pid: int | None = 0, symbol: str = "default_idle+0xf", **more: str) -> Stack:
    trace = Backtrace((Named(Frame(TEXT, 0x10, "switched"), symbol),), "", more.get("problem", ""))
    return Stack(cpu, pid, f"swapper/{cpu}", more.get("state", ""), True, trace)


def test_seventy_idle_cpus_are_one_line() -> None:
    stacks = [on_cpu(0, 7, "busy"), *(on_cpu(cpu) for cpu in range(1, 71))]
    stacks += [on_cpu(cpu, None, state=OFFLINE) for cpu in (71, 72)]
    blocks = list(cpu_blocks(stacks))
    assert blocks[0][0] == "CPU 0: pid 7 swapper/0"
    assert blocks[1:] == [
        ["CPUs 1-70 are idle, in default_idle+0xf"],
        ["CPUs 71, 72 are offline"],
    ]


def test_few_idle_cpus_and_those_in_trouble_are_shown() -> None:
    assert [len(block) for block in cpu_blocks([on_cpu(0), on_cpu(1)])] == [2, 2]
    stacks = [on_cpu(cpu) for cpu in range(4)] + [on_cpu(4, problem="no entry")]
    blocks = list(cpu_blocks(stacks))
    assert blocks[0][-1] == "     (no entry)"
    assert blocks[1] == ["CPUs 0-3 are idle, in default_idle+0xf"]
    assert list(cpu_blocks([on_cpu(9, None, state=OFFLINE)])) == [["CPU 9 is offline"]]
