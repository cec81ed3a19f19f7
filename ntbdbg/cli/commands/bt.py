# SPDX-License-Identifier: MIT
"""ntbdbg bt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.options import lab_command
from ntbdbg.errors import UsageError
from ntbdbg.units import parse_number

if TYPE_CHECKING:
    from ntbdbg.analysis.backtraces import Backtraces, Stack
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg bt qemu1 --freeze", "what every CPU executes"),
    ("ntbdbg bt qemu1 217", "where a task waits"),
    ("ntbdbg bt qemu1 insmod", "where tasks of that name wait"),
    ("ntbdbg bt qemu1 cpu:1 --freeze", "one CPU"),
    ("ntbdbg bt ./qemu1.core --all", "every task of a dump"),
]


@lab_command("bt", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET [PID|cpu:N|NAME]")
@click.option("--all", "everything", is_flag=True, help="Every task and thread.")
def command(app: AppContext, words: tuple[str, ...], everything: bool) -> None:
    """Show backtraces: of TARGET's CPUs, of one CPU, of a task, of those of one name, or of all.

    Stacks are unwound by the kernel's own tables in RAM (ORC), and named by its symbols. A task
    that waits shows where it gave up its CPU; a CPU needs registers: of a frozen or running
    guest, of a capture, or of a dump with notes.
    """
    target, (which,) = target_and_words(app, words, "[PID|cpu:N|NAME]")
    if which and everything:
        raise UsageError(f"--all and {which} exclude each other", hint="leave one out")
    from ntbdbg.analysis.backtraces import Backtraces
    from ntbdbg.render.backtrace import cpu_blocks, stack_facts, stack_lines

    guest = app.guest(target)
    _ = guest.kernel.layouts  # found out before anybody stands still
    with app.stillness():
        traces = Backtraces(guest)
        stacks = _stacks(traces, which, everything)
    if app.json:
        facts = [stack_facts(stack) for stack in stacks]
        torn = traces.vcpus.torn and not app.freeze
        app.emit(
            "bt",
            {"guest": guest.name, "stacks": facts, "torn": torn, "partial": traces.partial},
        )
        return
    blocks = cpu_blocks(stacks) if which is None else map(list, map(stack_lines, stacks))
    for index, block in enumerate(blocks):
        for line in [""] * bool(index) + block:
            app.write(line)
    if traces.vcpus.torn and not app.freeze:
        app.note(f"{guest.name} ran meanwhile, so stacks may be torn; --freeze holds the lab still")
    if traces.partial:
        app.note(f"tasks may be missing: {traces.partial}")


def _stacks(traces: Backtraces, which: str | None, everything: bool) -> list[Stack]:
    if everything:
        return list(traces.tasks())
    if which is None:
        return traces.cpus()
    cpu = re.fullmatch("cpu(?::(.*)|([0-9]+))", which, re.IGNORECASE)
    if cpu:
        return [traces.cpu(parse_number(cpu[1] or cpu[2] or "", what="CPU"))]
    if which.isdigit():
        return [traces.task(parse_number(which, what="PID"))]
    return traces.named(which)
