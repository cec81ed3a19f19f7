# SPDX-License-Identifier: MIT
"""Tasks of a guest as a table or a tree, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ntbdbg.render.backtrace import cpu_names
from ntbdbg.render.table import plain_table
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.kernel.tasks.tasks import CpuTask, Task

DEEPEST = 64
"""Levels of a tree that are indented; a damaged guest may have a child in each line."""

_STATES = {"R": "green", "D": "red", "Z": "yellow", "T": "yellow", "t": "yellow"}


class TaskTable:
    """One line a task; kernel threads in brackets, a star where a CPU runs it just now.

    :param tree: children below their parents, indented
    """

    def __init__(self, tasks: Sequence[Task], *, tree: bool = False, threads: bool = False) -> None:
        self.tasks = tasks
        self.tree = tree
        self.threads = threads

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        first = ("PID", "TID") if self.threads else ("PID",)
        table = plain_table(*first, "PPID", "S", "CPU", "NAME", right=("PID", "TID", "PPID"))
        lines = tree_order(self.tasks) if self.tree else ((0, task) for task in self.tasks)
        for depth, task in lines:
            ids = (task.tgid, task.pid) if self.threads else (task.pid,)
            table.add_row(
                *map(str, ids),
                str(task.ppid),
                Text(task.state, _STATES.get(task.state, "")),
                f"{task.cpu}{'*' if task.running else ''}",
                "  " * min(depth, DEEPEST) + shown_name(task),
            )
        yield table


def shown_name(task: Task) -> str:
    """``bash``, ``[kthreadd]``."""
    name = printable(task.name)
    return f"[{name}]" if task.is_kernel else name


def tree_order(tasks: Sequence[Task]) -> Iterator[tuple[int, Task]]:
    """(depth, task), children after their parents; each task once, whoever claims to be above."""
    children: dict[int, list[Task]] = {}
    known = {task.pid for task in tasks}
    for task in tasks:
        above = task.tgid if task.pid != task.tgid else task.ppid
        children.setdefault(above if above in known else 0, []).append(task)
    todo = [(0, task) for task in reversed(children.pop(0, []))]
    left = {id(task): task for task in tasks}
    while todo or left:
        depth, task = todo.pop() if todo else (0, next(iter(left.values())))
        if left.pop(id(task), None) is None:
            continue
        yield depth, task
        below = children.pop(task.pid, [])
        todo += [(depth + 1, child) for child in reversed(below)]


def cpu_lines(cpus: Sequence[CpuTask]) -> Iterator[str]:
    """``CPU 0 runs 77 busy``, ``CPUs 1-3 are idle``."""
    idle = [one.cpu for one in cpus if not one.pid]
    if idle:
        yield f"{cpu_names(idle)} idle"
    for one in cpus:
        if one.pid:
            yield f"CPU {one.cpu} runs {one.pid} {printable(one.name)}"


def task_facts(task: Task) -> dict[str, Any]:
    """One task for JSON."""
    return asdict(task)
