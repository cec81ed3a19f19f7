# SPDX-License-Identifier: MIT
"""ntbdbg disas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.options import lab_command
from ntbdbg.errors import UsageError

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg disas qemu1 schedule", "a function, as it lies in memory"),
    ("ntbdbg disas qemu1 ntb_hw_idt:idt_thread_isr+0x20 8", "8 instructions of a module"),
    ("ntbdbg disas qemu1 cpu:0 --freeze", "where a processor is"),
    ("ntbdbg disas before.cap:qemu1 oops", "where the last oops happened"),
]


@lab_command("disas", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET ADDR|cpu:N|oops [COUNT]")
@click.option("--intel", is_flag=True, help="Intel's syntax instead of AT&T's.")
@click.option("--bytes", "raw", is_flag=True, help="Show the bytes of each instruction as well.")
def command(app: AppContext, words: tuple[str, ...], intel: bool, raw: bool) -> None:
    """Show TARGET's code at ADDR: a whole function, or COUNT instructions.

    Code is what the processor executes, with all that the kernel patched into it: alternatives,
    static calls, ftrace, breakpoints. Addresses in it have their symbols; an arrow marks where
    each processor is, and where the last oops happened. With --symbols, source lines.
    """
    target, (where, count) = target_and_words(app, words, "ADDR", "[COUNT]")
    from ntbdbg.analysis.code import MOST, Disassembler
    from ntbdbg.render.code import code_facts, code_lines
    from ntbdbg.units import parse_number

    number = None if count is None else parse_number(count, what="COUNT")
    if number is not None and not 0 < number <= MOST:
        raise UsageError(f"{count} instructions cannot be shown", hint=f"1 to {MOST} can")
    guest = app.guest(target)
    assert where is not None
    with app.stillness():
        found = Disassembler(guest, "intel" if intel else "att")
        code = found.show(where, number)
    if app.json:
        app.emit("disas", {**code_facts(code), "notes": found.problems})
        return
    for line in code_lines(code, raw=raw):
        app.write(line)
    for problem in found.problems:
        app.note(problem)
