# SPDX-License-Identifier: MIT
"""ntbdbg modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.listed import expect_rows
from ntbdbg.cli.options import lab_command, target_argument

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg modules qemu1", "the loaded modules, the newest first"),
    ("ntbdbg modules qemu1 --json", "the same for a program"),
]


@lab_command("modules", examples=EXAMPLES, freezes=True)
@target_argument()
def command(app: AppContext, target: str) -> None:
    """Show the modules that are loaded in TARGET, as lsmod and /proc/modules do.

    SIZE is in bytes, BASE where the text is, USED how often and BY which modules it is used.
    TAINTS: O for out of tree, E for unsigned, P for proprietary, and so on.
    """
    from ntbdbg.kernel.modules.taints import taint_letters
    from ntbdbg.render.modules import ModuleLine, ModuleTable, module_facts

    guest = app.guest(target)
    with app.stillness():
        found = guest.kernel.modules()
    lines = [ModuleLine(module, taint_letters(guest.kernel, module.taints)) for module in found]
    expect_rows(app, guest, found, "modules", "module")
    if app.json:
        facts = [module_facts(line) for line in lines]
        app.emit("modules", {"guest": guest.name, "modules": facts, "partial": found.partial})
        return
    app.console().print(ModuleTable(lines))
    app.note_partial(guest, found.partial)
