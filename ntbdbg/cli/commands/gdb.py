# SPDX-License-Identifier: MIT
"""ntbdbg gdb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import UsageError

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg gdb qemu1", "gdb, with symbols and types of this boot, modules too"),
    ("ntbdbg gdb qemu1 -- -ex 'break idt_thread_isr' -ex continue", "further words are gdb's"),
    ("ntbdbg gdb qemu1 --symbols build/vmlinux", "with debug information of the kernel"),
]


@lab_command("gdb", examples=EXAMPLES)
@target_argument()
@click.argument("arguments", metavar="[-- GDB_ARGS]", nargs=-1, type=click.UNPROCESSED)
def command(app: AppContext, target: str, arguments: tuple[str, ...]) -> ExitStatus:
    """Start gdb on TARGET, a running guest, with what its kernel tells of itself.

    QEMU's gdbstub is opened on a private socket; gdb gets code, symbols, types and stack tables
    of the kernel and its modules as they are now. The guest stands still while gdb has it, and
    goes on, if it did before, when gdb leaves. With --symbols the kernel's own debug
    information is used beside it.
    """
    if app.json:
        raise UsageError("gdb prints what it wants, so there is no JSON", hint="leave --json out")
    from ntbdbg.analysis.debugger import Debugger

    code = Debugger(app.guest(target)).run(arguments)
    if code:
        app.note(f"gdb ended with {code}" if code > 0 else f"gdb was ended by signal {-code}")
    return ExitStatus.DIFFERENT if code else ExitStatus.OK
