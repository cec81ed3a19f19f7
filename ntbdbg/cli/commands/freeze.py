# SPDX-License-Identifier: MIT
"""ntbdbg freeze."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.options import lab_command

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg freeze", "stop every guest of the lab"),
    ("ntbdbg dump qemu1 0x1000 64 --freeze", "stop them only while one command reads"),
]


@lab_command("freeze", examples=EXAMPLES)
def command(app: AppContext) -> None:
    """Stop all guests of the lab, until 'ntbdbg resume'.

    Memory can be read and patched meanwhile, and shows one moment on both sides.
    """
    app.note_lab(app.lab)
    stopped = app.lab.freeze()
    if app.json:
        app.emit("freeze", {"lab": app.lab.name, "stopped": stopped})
    elif stopped:
        app.write(f"stopped {', '.join(stopped)}")
    else:
        app.note("no guest was running")
