# SPDX-License-Identifier: MIT
"""ntbdbg export."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ntbdbg.analysis.export import FORMATS, METHOD_NAMES, Export, prepare
from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.errors import UsageError
from ntbdbg.lab.signals import ending_by_exception
from ntbdbg.memory.formats.sink import FileSink, FlattenedSink, Sink, StreamSink
from ntbdbg.render.progress import Progress

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg export qemu1 --format elf -o qemu1.core --freeze", "a vmcore, for gdb, crash, drgn"),
    ("ntbdbg export qemu1 --format kdump -o qemu1.kdump", "compressed by zstd"),
    ("ntbdbg export ./old.core --format kdump --compress zlib -o old.kdump", "a dump, changed"),
    ("ntbdbg export qemu2 --format raw -o qemu2.raw", "offsets are guest-physical addresses"),
    ("ntbdbg export qemu1 --format kdump -o - | ssh host 'makedumpfile -R x'", "over a pipe"),
]


@lab_command("export", examples=EXAMPLES, freezes=True)
@target_argument()
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="Where; '-' is stdout, for a pipe."
)
@click.option(
    "--compress",
    "method",
    type=click.Choice(METHOD_NAMES),
    help="How pages of kdump are compressed.  [default: zstd]",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def command(
    app: AppContext, target: str, form: str, output: str, method: str | None, force: bool
) -> None:
    """Write TARGET's memory, processors and VMCOREINFO as a dump that other tools open.

    FILE appears when it is whole, and never half-made. It is sparse: zeros take no room. A
    guest that runs meanwhile is torn; --freeze stops the lab for it.
    """
    if method and form != "kdump":
        raise UsageError(f"--compress is for kdump, {form} is not compressed", hint="leave it out")
    if output == "-" and app.json:
        raise UsageError("stdout cannot take both the dump and JSON", hint="give a file")
    guest = app.guest(target)
    started = time.monotonic()
    progress = Progress("export", app.is_terminal or output != "-")
    with ending_by_exception(), app.stillness(), progress:
        export = prepare(guest)
        for text in export.notes:
            app.note(text)
        with _sink(app, export, form, output, force) as sink:
            size = export.write(sink, form, progress, method=method or METHOD_NAMES[0])
    left_out = export.left_out()
    if left_out:
        app.note(left_out)
        export = replace(export, notes=(*export.notes, left_out))
    torn = guest.is_live and guest.record is not None and not app.freeze
    if torn:
        app.note(f"{guest.name} ran meanwhile, so the dump is torn; --freeze holds the lab still")
    _tell(app, export, form, output, size, torn, time.monotonic() - started)


@contextlib.contextmanager
def _sink(app: AppContext, export: Export, form: str, output: str, force: bool) -> Iterator[Sink]:
    if output == "-":
        if app.is_terminal:
            raise UsageError("a dump is nothing for a terminal", hint="pipe it on, or give a file")
        yield FlattenedSink(app.out) if form == "kdump" else StreamSink(app.out)
        return
    with FileSink(output, export.room(form), replace=force) as sink:
        yield sink


def _tell(
    app: AppContext,
    export: Export,
    form: str,
    output: str,
    size: int,
    torn: bool,
    elapsed: float,
) -> None:
    from ntbdbg.render.export import export_facts, export_line

    used = size if output == "-" else os.stat(output).st_blocks * 512
    facts = export_facts(export, form, output, size, used, torn, elapsed)
    if app.json:
        app.emit("export", facts)
    elif output == "-":
        app.note(export_line(facts))
    else:
        app.write(export_line(facts))
