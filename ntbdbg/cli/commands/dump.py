# SPDX-License-Identifier: MIT
"""ntbdbg dump."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.annotate import annotate_option, labels_for, line_labels, range_labels
from ntbdbg.cli.options import lab_command
from ntbdbg.cli.params import LENGTH
from ntbdbg.errors import UsageError
from ntbdbg.inspect.dump import chunks
from ntbdbg.render.hexdump import hexdump, offset_digits
from ntbdbg.render.hexlines import HexLayout
from ntbdbg.units import parse_size

if TYPE_CHECKING:
    from ntbdbg.analysis.labels import Labels
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.place import Place

DEFAULT_LENGTH = 256
MAX_SYMBOL = 0x1000
"""Bytes shown of a symbol unless LENGTH says otherwise."""

WIDTHS = ["1", "2", "4", "8"]

EXAMPLES = [
    ("ntbdbg dump qemu1 0x1000 64", "64 bytes of guest-physical memory"),
    ("ntbdbg dump qemu1 init_uts_ns 390", "a kernel symbol, by virtual addresses"),
    ("ntbdbg dump qemu1 mw0+0x40 64", "what window 0 of qemu1 reaches in its peer"),
    ("ntbdbg dump qemu1 1M 4K -g 8 --endian little", "64-bit numbers as the CPU sees them"),
    ("ntbdbg dump qemu1 1M 16M --format raw > part.bin", "the bytes themselves"),
    ("ntbdbg dump qemu1 0x2000000 --annotate", "with symbols, owners of pages, windows"),
    ("ntbdbg dump /dev/shm/qemu 0x1000", "a bare RAM file"),
]


@lab_command("dump", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET ADDR [LENGTH]")
@click.option("-l", "--length", "length_too", type=LENGTH, metavar="N", help="Same as LENGTH.")
@click.option("-g", "--width", type=click.Choice(WIDTHS), help="Bytes per group.  [default: 2]")
@click.option(
    "--endian",
    type=click.Choice(["big", "little"]),
    help="Byte order of groups; big shows bytes as they lie.  [default: big]",
)
@click.option("-e", "little", is_flag=True, help="As xxd: --endian little, --width 4.")
@click.option("-c", "--columns", type=click.IntRange(1, 256), default=16, help="Bytes per line.")
@click.option(
    "--squeeze",
    type=click.Choice(["zeros", "all", "none"]),
    default="zeros",
    help="Which repeated lines become '*'; only zeros and none can be read back by xxd -r.",
)
@click.option("--no-squeeze", is_flag=True, help="Same as --squeeze none.")
@annotate_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["hex", "raw", "c", "json"]),
    default="hex",
    help="xxd's format, the bytes themselves, a C array, or JSON.",
)
def command(
    app: AppContext,
    words: tuple[str, ...],
    length_too: int | None,
    form: str,
    annotate: bool | None,
    **look: str | int | bool | None,
) -> None:
    """Show LENGTH bytes (by default 256, or a symbol's size) of TARGET's memory from ADDR on.

    The output is that of xxd, and 'xxd -r' takes it back. Every byte of the range must be
    RAM; 'ntbdbg map TARGET' shows where that is. With --annotate, each line ends with what it
    holds: symbols, the owner of the page, and windows of other guests that lead there.
    """
    target, (address, typed) = target_and_words(app, words, "ADDR", "[LENGTH]")
    assert address is not None
    length = parse_size(typed) if typed is not None else None
    if length and length_too:
        raise UsageError("the length is given twice", hint="leave out one of LENGTH and -l")
    guest = app.guest(target)
    with app.stillness():  # the way to the place may lead through pointers and page tables
        place = guest.resolve(address, length or length_too or DEFAULT_LENGTH)
        size = length or length_too or _natural_size(app, place)
        app.note_place(place, size)
        layout = _layout(place.address + size, app.color, **look)  # type: ignore[arg-type]
        app.note_tearing(place.guest)
        labels = labels_for(app, annotate, place.guest, place.memory, by_default=bool(place.symbol))
        for text in _rendered(app, place, size, "json" if app.json else form, layout, labels):
            app.out.write(text)
    if layout.squeeze == "all":
        app.note("repeats were squeezed: xxd -r cannot read this back")


def _natural_size(app: AppContext, place: Place) -> int:
    """Bytes to show if the user does not say: the whole symbol, unless it is huge."""
    if place.size is None or not place.symbol:
        return DEFAULT_LENGTH
    if place.size > MAX_SYMBOL:
        app.note(f"{place.symbol} has {place.size:#x} bytes, the first {MAX_SYMBOL:#x} are shown")
    return min(place.size, MAX_SYMBOL)


def _layout(
    end: int,
    color: bool,
    *,
    width: str | None,
    endian: str | None,
    little: bool,
    columns: int,
    squeeze: str,
    no_squeeze: bool,
) -> HexLayout:
    if little and endian == "big":
        raise UsageError("-e and --endian big exclude each other", hint="leave out one of them")
    little = little or endian == "little"
    group = int(width) if width else 4 if little else 2
    if little and columns % group:
        raise UsageError(
            f"{columns} columns are no whole number of little-endian groups of {group} bytes",
            hint=f"take a multiple of {group} for --columns",
        )
    mode = "none" if no_squeeze else squeeze
    return HexLayout(columns, group, little, mode, offset_digits(end), color)


def _rendered(
    app: AppContext, place: Place, size: int, form: str, layout: HexLayout, labels: Labels | None
) -> Iterator[bytes]:
    line = layout.columns if form == "hex" else 12 if form == "c" else 16
    parts = chunks(place.memory, place.address, size, line=line)
    if form == "hex":
        return hexdump(parts, layout, size, line_labels(labels))
    from ntbdbg.render import dump

    if form == "raw":
        return dump.raw(parts)
    name = place.guest.name
    if form == "c":
        return dump.c_array(parts, f"{name.rpartition('/')[2]}_{place.address:#x}", size)
    facts = {
        "guest": name,
        "address": place.address,
        "size": size,
        "live": place.guest.is_live,
        "via": place.via,
    }
    return dump.json_dump(parts, facts, range_labels(labels, place.address, size))
