# SPDX-License-Identifier: MIT
"""ntbdbg patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import Parsed
from ntbdbg.errors import UsageError
from ntbdbg.inspect.value import EXAMPLES as VALUES
from ntbdbg.inspect.value import is_raw, parse_value
from ntbdbg.render.patch import patch_facts, patch_line, patch_list

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg patch qemu1 0x1000 u32:5", "a little-endian 32-bit number"),
    ("ntbdbg patch qemu1 0x1000 'hex:de ad' --expect hex:0000", "only if zeros are there"),
    ("ntbdbg patch qemu1 mw0+0x40 str:hello", "the peer's memory, through window 0 of qemu1"),
    ("ntbdbg patch qemu1 1M @blob.bin --dry-run", "what a file's bytes would overwrite"),
    ("ntbdbg patch qemu1 init_uts_ns.name.nodename changed", "a member whose type is known"),
    ("ntbdbg patch --list", "all patches of the lab, to undo them by number"),
]


def _value(text: str) -> str:
    """`text`, refused here and now if it cannot be a value whatever ADDR is."""
    if is_raw(text):
        parse_value(text)
    return text


VALUE = Parsed("value", _value)


@lab_command("patch", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET ADDR VALUE", required=False)
@click.option("--expect", type=VALUE, metavar="OLD", help="Refuse unless these bytes are there.")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--list", "lists", is_flag=True, help="Show the journal instead.")
def command(
    app: AppContext,
    words: tuple[str, ...],
    expect: str | None,
    dry_run: bool,
    lists: bool,
) -> None:
    """Store VALUE at ADDR of TARGET's memory.

    VALUE is a number such as u32:5 or u64be:0x1234, hex:…, str:…, utf16:… or @FILE. Where ADDR
    is a variable of the kernel, or a member of one, whose type is known, a bare VALUE will do: a
    number, text, an enumerator, true, a symbol for a pointer, or 1,2,3 for an array; a bit field
    keeps its neighbours. The old bytes are journalled and synced to disk first; 'ntbdbg undo'
    puts them back.
    """
    if lists:
        if words:
            raise UsageError("--list takes no TARGET", hint="it shows all patches of the lab")
        _list(app)
        return
    target, address, value = _operands(app, words)
    guest = app.guest(target)
    app.note_lab(guest.lab)
    with app.stillness():
        done = guest.patch(address, value, expect=expect, dry_run=dry_run)
    if app.json:
        app.emit("patch", patch_facts(done) | {"dry_run": dry_run})
    else:
        app.write(patch_line(done))
    if dry_run:
        app.note("dry run: nothing was written")


def _operands(app: AppContext, words: tuple[str, ...]) -> tuple[str, str, str]:
    target, (address, value) = (
        target_and_words(app, words, "[ADDR]", "[VALUE]") if words else ("", (None, None))
    )
    if address is None or value is None:
        missing = "TARGET" if not words else "ADDR" if address is None else "VALUE"
        raise UsageError(f"{missing} is missing", hint=f"ntbdbg patch qemu1 0x1000 u32:5; {VALUES}")
    return target, address, _value(value)


def _list(app: AppContext) -> None:
    from ntbdbg.inspect.patch import state

    lab = app.patched_lab()
    patches = [(patch, state(patch)) for patch in lab.patches()]
    if app.json:
        entries = [patch_facts(patch) | {"state": now} for patch, now in patches]
        app.emit("patches", {"patches": entries})
        return
    for line in patch_list(patches):
        app.write(line)
    if not patches:
        app.note(f"no patches; the journal would be {lab.journals.own.path}")
