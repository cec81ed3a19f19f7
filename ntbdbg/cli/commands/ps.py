# SPDX-License-Identifier: MIT
"""ntbdbg ps."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ntbdbg.cli.listed import expect_rows
from ntbdbg.cli.options import lab_command, target_argument

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg ps qemu1", "every process, and what each CPU runs"),
    ("ntbdbg ps qemu1 --tree", "children below their parents"),
    ("ntbdbg ps qemu1 --threads --freeze", "every thread, while the lab stands still"),
    ("ntbdbg ps qemu1 --json", "the same for a program"),
]


@lab_command("ps", examples=EXAMPLES, freezes=True)
@target_argument()
@click.option("--tree", is_flag=True, help="Show children below their parents.")
@click.option("--threads", is_flag=True, help="Show every thread of each process.")
def command(app: AppContext, target: str, tree: bool, threads: bool) -> None:
    """Show the tasks of TARGET, from its RAM alone.

    S is the state as in ps(1): running or ready (R), sleeping (S), uninterruptible (D), idle
    (I), stopped (T), traced (t), zombie (Z), parked (P), dead (X). CPU is where it ran last, with
    a star where that CPU runs it just now. Threads of the kernel are in brackets.
    """
    from ntbdbg.kernel.tasks.tasks import TaskWalker
    from ntbdbg.lab.elsewhere import ram_elsewhere
    from ntbdbg.render.tasks import TaskTable, cpu_lines, task_facts

    guest = app.guest(target)
    with app.stillness():
        walker = TaskWalker(guest.kernel)
        tasks, cpus = walker.walk(threads=threads), walker.cpus()
        notes = ram_elsewhere(guest)
    expect_rows(app, guest, tasks, "init_task", "task", least=1)
    if app.json:
        facts = {"tasks": [task_facts(task) for task in tasks], "cpus": [asdict(c) for c in cpus]}
        app.emit("ps", {"guest": guest.name, **facts, "partial": tasks.partial, "notes": notes})
        return
    app.console().print(TaskTable(tasks, tree=tree, threads=threads))
    for line in cpu_lines(cpus):
        app.write(line)
    app.note_tearing(guest)
    app.note_partial(guest, tasks.partial)
    for note in notes:
        app.note(note)
