# SPDX-License-Identifier: MIT
"""ntbdbg regs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.linkpage import open_page, page_option, partition_of
from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.ntb import registers
from ntbdbg.ntb.regview import register_values

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg regs qemu1", "the registers that matter, doorbells, messages, link"),
    ("ntbdbg regs qemu1 ntctl msgsts", "two registers by name"),
    ("ntbdbg regs qemu2 --all", "everything that the port publishes"),
    ("ntbdbg regs qemu1 --json", "the same for a program"),
]


@lab_command("regs", examples=EXAMPLES, freezes=True)
@target_argument()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also registers that are rarely used.")
@page_option
def command(
    app: AppContext, target: str, names: tuple[str, ...], everything: bool, page: str | None
) -> None:
    """Show the NT registers of TARGET by name, with decoded fields.

    Names are those of Linux' ntb_hw_idt.h. FROM tells which part of the shared page holds
    the value: levels decide about the link, inbox is written by the peers too, mirror is
    the owner's private state, image its registers as of its last register write.
    """
    wanted = [registers.find(name) for name in names] or None
    source, guests = open_page(app, page, target)
    with app.stillness():
        link = source.link()
    port = link.port(partition_of(target, link, guests))
    values = register_values(port, wanted, everything=everything)
    from ntbdbg.render.registers import PortView, RegisterTable, port_facts
    from ntbdbg.render.windows import link_notes

    if app.json:
        app.emit("regs", port_facts(link, port, values, guests))
        return
    console = app.console()
    console.print(RegisterTable(values))
    if not names:
        console.print()
        console.print(PortView(link, port, guests, everything=everything))
    for note in link_notes(link, guests):
        app.note(note)
