# SPDX-License-Identifier: MIT
"""ntbdbg translate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.analysis.translation import translate
from ntbdbg.cli.addressed import addressed_argument, guest_and_word
from ntbdbg.cli.options import lab_command

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg translate qemu1 init_task", "each level of the page tables, then where it ends"),
    ("ntbdbg translate qemu1:0xffff888000100000", "the same for a virtual address"),
    ("ntbdbg translate qemu1 0x1000", "a guest-physical one: RAM file, windows that reach it"),
    ("ntbdbg translate qemu1 0xfe800040", "an address in a window's BAR: where it ends up"),
    ("ntbdbg translate qemu1 mw0+0x40", "what lies behind a window"),
]


@lab_command("translate", examples=EXAMPLES, freezes=True)
@addressed_argument("[TARGET] ADDR")
def command(app: AppContext, words: tuple[str, ...]) -> None:
    """Show where ADDR of TARGET leads.

    A kernel address: each level of the page tables with its entry and flags, the size and
    rights of the page, the guest-physical address. From there on: the place in the RAM file,
    and which windows of other guests reach it. An address in one of TARGET's own windows is
    followed into the peer. TARGET may be left out where there is only one guest.
    """
    guest, address = guest_and_word(app, words, "ADDR")
    with app.stillness():
        found = translate(guest, address)
    from ntbdbg.render.translate import TranslationView, translation_facts

    if app.json:
        app.emit("translate", translation_facts(found))
    else:
        app.console().print(TranslationView(found))
    fault = found.fault()
    if fault is not None:
        raise fault
