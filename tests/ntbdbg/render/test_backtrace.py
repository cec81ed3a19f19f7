# SPDX-License-Identifier: MIT
"""Backtraces as text and as JSON."""

from __future__ import annotations

from ntbdbg.kernel.backtrace import Backtrace, Named
from ntbdbg.kernel.unwind import Frame
from ntbdbg.render.backtrace import stack_facts, stack_lines
from ntbdbg.target.backtraces import Stack

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
