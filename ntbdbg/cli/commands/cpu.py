# SPDX-License-Identifier: MIT
"""ntbdbg cpu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.options import lab_command

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg cpu qemu1 --freeze", "every processor: registers, mode, task, place"),
    ("ntbdbg cpu qemu1 1", "one of them"),
    ("ntbdbg cpu before.cap:qemu1", "as a capture has them"),
    ("ntbdbg cpu qemu1 --json", "the same for a program"),
]


@lab_command("cpu", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET [N]")
def command(app: AppContext, words: tuple[str, ...]) -> None:
    """Show TARGET's processors, or the one of number N: registers and what they mean.

    From QEMU while the guest runs, else from the capture or dump it is in. What a register
    is the address of, the task, and whose page tables are used, the kernel in RAM tells.
    """
    target, (which,) = target_and_words(app, words, "[N]")
    from ntbdbg.analysis.processors import Processors
    from ntbdbg.render.cpu import cpu_facts, cpu_lines
    from ntbdbg.units import parse_number

    number = None
    if which is not None:
        number = parse_number(which.removeprefix("cpu:"), what="CPU")
    guest = app.guest(target)
    with app.stillness():
        found = Processors(guest)
        cpus = found.all() if number is None else [found.one(number)]
    torn = found.torn and not app.freeze
    if app.json:
        facts = [cpu_facts(cpu) for cpu in cpus]
        app.emit(
            "cpu", {"guest": guest.name, "cpus": facts, "torn": torn, "problem": found.problem}
        )
        return
    for index, cpu in enumerate(cpus):
        for line in [""] * bool(index) + list(cpu_lines(cpu)):
            app.write(line)
    if torn:
        app.note_tearing(guest)
    if found.problem:
        app.note(f"without symbols and tasks: {found.problem}")
