# SPDX-License-Identifier: MIT
"""Stacks of tasks that wait, as `bt` has them, beside what the guest says of them itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.vm import traces
from tests.vm.support import Lab

EVERY_STACK = 'for p in /proc/[0-9]*; do echo "== ${p#/proc/}"; cat $p/stack; done 2>/dev/null'

Stacks = dict[int, list[str]]


def check_proc(lab: Lab, number: int = 1, guest: str = "qemu1") -> None:
    """Waiting tasks are where /proc/PID/stack says, which leaves out the scheduler's functions."""
    ask = lambda: traces.of_proc(lab.sh(number, EVERY_STACK))  # noqa: E731
    found, before, after = between(lab, ask, guest)
    scheduler = _scheduler(lab, guest)
    ours = {
        stack["pid"]: [
            frame["symbol"] for frame in stack["frames"] if frame["address"] not in scheduler
        ]
        for stack in found
    }
    compare(ours, before, after)


def between(
    lab: Lab, ask: Callable[[], Stacks], guest: str = "qemu1"
) -> tuple[list[dict[str, Any]], Stacks, Stacks]:
    """What `bt` says of those that wait, and the guest itself before and after that."""
    before = ask()
    found = lab.json("bt", guest, "--all", "--freeze")
    assert found["partial"] is None
    return [stack for stack in found["stacks"] if not stack["running"]], before, ask()


def compare(ours: Stacks, before: Stacks, after: Stacks) -> None:
    """Compared are those whose stack is the same before and after ours was made."""
    still = [pid for pid in ours if before.get(pid) and before[pid] == after.get(pid)]
    assert len(still) > 30
    moved = [pid for pid in still if ours[pid] != before[pid]]
    # A task may move and come back to the same place between the two looks of the guest.
    assert len(moved) <= 2, {pid: (ours[pid], before[pid]) for pid in moved}


def _scheduler(lab: Lab, guest: str) -> range:
    """What /proc/PID/stack leaves out."""
    ends = ("__sched_text_start", "__sched_text_end")
    return range(*(lab.json("translate", guest, name)["address"] for name in ends))
