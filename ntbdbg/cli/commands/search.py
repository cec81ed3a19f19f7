# SPDX-License-Identifier: MIT
"""ntbdbg search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.cli.params import LENGTH, Parsed
from ntbdbg.cli.status import ExitStatus
from ntbdbg.inspect.search import parse_range
from ntbdbg.inspect.value import parse_pattern
from ntbdbg.render.progress import Progress
from ntbdbg.render.search import context_dump, json_matches

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.inspect.value import Pattern
    from ntbdbg.memory.segments import AddressRange

EXAMPLES = [
    ("ntbdbg search qemu1 'hex:de ad be ef'", "bytes, anywhere in RAM"),
    ("ntbdbg search qemu1 'str:Linux version' --limit 1", "the first occurrence of a text"),
    ("ntbdbg search qemu1 u64:0xffff888000000000 --align 8", "an aligned little-endian number"),
    ("ntbdbg search qemu1 're:NTB[0-9]+' --range 1M+16M", "a regular expression over bytes"),
    ("ntbdbg search qemu1 utf16:Hello -c", "only how often"),
]


@lab_command("search", examples=EXAMPLES, freezes=True)
@target_argument()
@click.argument("pattern", type=Parsed("pattern", parse_pattern))
@click.option(
    "--range",
    "within",
    metavar="A:B|A+LEN",
    type=Parsed("range", parse_range),
    help="Where to look.  [default: all RAM]",
)
@click.option("--align", type=LENGTH, default=1, metavar="N", help="Only multiples of N.")
@click.option("--limit", type=LENGTH, metavar="N", help="Stop after N matches.")
@click.option("-c", "--count", "counts", is_flag=True, help="Print only how many there are.")
@click.option(
    "-C", "--context", type=LENGTH, default=0, metavar="N", help="Also show N bytes around each."
)
def command(
    app: AppContext,
    target: str,
    pattern: Pattern,
    within: AddressRange | None,
    align: int,
    limit: int | None,
    counts: bool,
    context: int,
) -> ExitStatus:
    """Find PATTERN in TARGET's RAM.

    PATTERN is hex:…, str:…, utf16:…, a number such as u32:5 or u64be:0x1234, @FILE, or re:…
    (Python's syntax over bytes; matches of up to 4 KiB). One line a match, in xxd's format,
    from the match on. Matches may lie across adjoining segments, never across a hole.
    """
    guest = app.guest(target)
    app.note_tearing(guest)
    found = 0
    with app.stillness(), Progress("search", app.is_terminal) as progress:
        matches = guest.search(pattern, within=within, align=align, limit=limit, progress=progress)
        if app.json:
            found = json_matches(app.out, guest.name, pattern, matches, counts, limit)
        else:
            for match in matches:
                found += 1
                if not counts:
                    progress.clear()
                    app.out.write(context_dump(guest.memory, match, context, app.color))
    if counts and not app.json:
        app.write(str(found))
    if found == limit:
        app.note(f"stopped at --limit {limit}")
    return ExitStatus.OK if found else ExitStatus.DIFFERENT
