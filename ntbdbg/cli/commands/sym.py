# SPDX-License-Identifier: MIT
"""ntbdbg sym."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.analysis.symquery import ask
from ntbdbg.cli.addressed import addressed_argument, guest_and_word
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import NUMBER
from ntbdbg.cli.status import ExitStatus

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg sym qemu1 jiffies", "where a symbol is, its size, section and type"),
    ("ntbdbg sym qemu1 'idt_*'", "every symbol whose name starts so, in modules, too"),
    ("ntbdbg sym qemu1 'ntb_hw_idt:*' --limit 0", "all symbols of a module"),
    ("ntbdbg sym qemu1 init_task.comm", "a member of a variable of known type"),
    ("ntbdbg sym qemu1:0xffffffff81000000", "which symbol an address lies in"),
    ("ntbdbg sym qemu1 0x2000000", "what the kernel has at a guest-physical address"),
]


@lab_command("sym", examples=EXAMPLES, freezes=True)
@addressed_argument("[TARGET] NAME|ADDR")
@click.option(
    "--limit",
    type=NUMBER,
    default="100",
    show_default=True,
    metavar="N",
    help="Symbols to show; 0: all.",
)
def command(app: AppContext, words: tuple[str, ...], limit: int) -> ExitStatus:
    """Look up kernel symbols of TARGET by name, pattern, or address.

    NAME may have '*' and '?' in it, a module before it (ntb_hw_idt:idt_*), a CPU and members
    behind it. ADDR is virtual or guest-physical; of it the symbol, the addresses and the
    owner of the page are shown. Nothing found is exit code 1.
    """
    guest, query = guest_and_word(app, words, "NAME|ADDR")
    with app.stillness():
        answer = ask(guest, query, limit)
    from ntbdbg.render.symbols import SymbolView, symbol_facts

    if app.json:
        app.emit("sym", symbol_facts(answer))
    elif answer.found:
        app.console().print(SymbolView(answer))
    if answer.problem:
        app.note(answer.problem)
    elif not answer.found:
        app.note(f"{guest.name}: nothing is known of {query}")
    if not answer.is_complete:
        app.note(f"more than {limit} match; --limit 0 shows all")
    return ExitStatus.OK if answer.found else ExitStatus.DIFFERENT
