# SPDX-License-Identifier: MIT
"""ntbdbg map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.analysis.reached import inbound
from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.inspect.memmap import memory_map
from ntbdbg.lab.elsewhere import ram_elsewhere
from ntbdbg.lab.rom import unsure_rom

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg map qemu1", "RAM, the holes in it, and the windows that lead there"),
    ("ntbdbg map /dev/shm/qemu --machine pc", "by QEMU's rules for another machine"),
    ("ntbdbg map qemu2 --json", "the same for a program"),
]


@lab_command("map", examples=EXAMPLES, freezes=True)
@target_argument()
def command(app: AppContext, target: str) -> None:
    """Show TARGET's guest-physical address space.

    RAM segments with their place in the RAM file and how much of them the host has
    allocated, the holes between them, and the windows of other guests that reach in.
    """
    guest = app.guest(target)
    with app.stillness():
        areas, windows = memory_map(guest.memory, unsure_rom(guest)), inbound(guest)
        notes = ram_elsewhere(guest, if_likely=True)
    from ntbdbg.render.memmap import MemoryMap, map_facts

    if app.json:
        app.emit("map", {"guest": guest.name, **map_facts(areas, windows), "notes": notes})
        return
    app.console().print(MemoryMap(areas, windows))
    for note in notes:
        app.note(note)
    app.note_left_out(guest.name, guest.memory)
