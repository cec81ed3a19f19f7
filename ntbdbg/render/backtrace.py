# SPDX-License-Identifier: MIT
"""Backtraces as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable
from ntbdbg.units import format_numbers

if TYPE_CHECKING:
    from ntbdbg.analysis.backtraces import Stack
    from ntbdbg.kernel.stacks.backtrace import Named


MARKS = {"interrupted": "  <interrupted here>", "inlined": "  <inlined>"}


FEW = 2
"""Idle CPUs that are shown one by one."""


def cpu_blocks(stacks: Sequence[Stack]) -> Iterator[list[str]]:
    """The lines of each stack; CPUs of which there is nothing to tell share a line."""
    idle = [stack for stack in stacks if stack.is_idle]
    alike = idle if len(idle) > FEW else []
    for stack in stacks:
        if stack not in alike and not stack.is_offline:
            yield list(stack_lines(stack))
    places: dict[str, list[int]] = {}
    for stack in alike:
        top = stack.trace.frames[0].symbol if stack.trace.frames else None
        places.setdefault(f"idle, in {top}" if top else "idle", []).append(stack.cpu)
    places.setdefault("offline", []).extend(s.cpu for s in stacks if s.is_offline)
    for words, cpus in places.items():
        if cpus:
            yield [printable(f"{cpu_names(cpus)} {words}")]


def cpu_names(cpus: Sequence[int]) -> str:
    """``CPU 3 is``, ``CPUs 0-94 are``."""
    return f"CPU {cpus[0]} is" if len(cpus) == 1 else f"CPUs {format_numbers(cpus)} are"


def stack_lines(stack: Stack) -> Iterator[str]:
    """A heading, a line for each frame, and why there are not more."""
    state = f", {stack.state}" if stack.state else ""
    place = "" if stack.running else f", last on CPU {stack.cpu}"
    yield printable(f"{stack.title}{state}{place}")
    for number, named in enumerate(stack.trace.frames):
        yield _frame_line(number, named)
    if stack.trace.problem:
        yield f"     ({printable(stack.trace.problem)})"
    elif not stack.trace.frames and stack.trace.end == "user":
        yield "     (in user space)"
    for note in stack.trace.notes:
        yield f"     ({printable(note)})"


def _frame_line(number: int, named: Named) -> str:
    """``#3   ffffffff81a0c6a3 schedule+0x5a``; ``?`` where a frame pointer was believed."""
    frame = named.frame
    doubt = "" if frame.reliable else "? "
    mark = MARKS.get(frame.kind, "")
    source = f"  {printable(frame.source)}" if frame.source else ""
    name = printable(named.symbol or "-")
    return f"  #{number:<3}{frame.address:016x} {doubt}{name}{source}{mark}"


def stack_facts(stack: Stack) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "cpu": stack.cpu,
        "pid": stack.pid,
        "name": stack.name,
        "state": stack.state,
        "running": stack.running,
        "frames": [
            {
                "address": named.frame.address,
                "stack": named.frame.stack,
                "symbol": named.symbol,
                "kind": named.frame.kind,
                "reliable": named.frame.reliable,
                "source": named.frame.source or None,
            }
            for named in stack.trace.frames
        ],
        "end": stack.trace.end,
        "problem": stack.trace.problem or None,
        "notes": list(stack.trace.notes),
    }
