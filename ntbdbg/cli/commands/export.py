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

from ntbdbg import __version__
from ntbdbg.analysis.export import FORMATS, KERNEL_FORMATS, METHOD_NAMES, Export, prepare_export
from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.errors import UsageError
from ntbdbg.lab.signals import ending_by_exception
from ntbdbg.memory.formats.sink import FileSink, FlattenedSink, Sink, StreamSink
from ntbdbg.render.progress import Progress

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.guest import Guest

EXAMPLES = [
    ("ntbdbg export qemu1 --format elf -o qemu1.core --freeze", "a vmcore, for gdb, crash, drgn"),
    ("ntbdbg export qemu1 --format kdump -o qemu1.kdump", "compressed by zstd"),
    ("ntbdbg export ./old.core --format kdump --compress zlib -o old.kdump", "a dump, changed"),
    ("ntbdbg export qemu2 --format raw -o qemu2.raw", "offsets are guest-physical addresses"),
    ("ntbdbg export qemu1 --format kdump -o - | ssh host 'makedumpfile -R x'", "over a pipe"),
    ("ntbdbg export qemu1 --format isf -o qemu1.json.xz", "its symbols and types, for volatility3"),
    ("ntbdbg export qemu1 --format vmlinux -o qemu1.vmlinux", "the same and its code, for gdb"),
]


@lab_command("export", examples=EXAMPLES, freezes=True)
@target_argument()
@click.option(
    "--format",
    "form",
    type=click.Choice((*FORMATS, *KERNEL_FORMATS)),
    required=True,
    help="What to write.",
)
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="Where; '-' is stdout, for a pipe."
)
@click.option(
    "--compress",
    "method",
    type=click.Choice(METHOD_NAMES),
    help="How pages of kdump are compressed.  [default: zstd]",
)
@click.option(
    "--linked",
    is_flag=True,
    help="vmlinux where it was linked, without modules: for drgn, and for every boot.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def command(
    app: AppContext,
    target: str,
    form: str,
    output: str,
    method: str | None,
    linked: bool,
    force: bool,
) -> None:
    """Write TARGET's memory, processors and VMCOREINFO as a dump that other tools open.

    isf and vmlinux hold no memory, but what its kernel tells of itself, which those tools want
    beside a dump: isf symbols and types for volatility3, vmlinux for gdb, crash and drgn also
    code and how to unwind stacks.

    FILE appears when it is whole, and never half-made. It is sparse: zeros take no room. A
    guest that runs meanwhile is torn; --freeze stops the lab for it.
    """
    if method and form != "kdump":
        raise UsageError(f"--compress is for kdump, {form} is not compressed", hint="leave it out")
    if linked and form != "vmlinux":
        raise UsageError(f"--linked is for vmlinux, not {form}", hint="leave it out")
    if output == "-" and app.json:
        raise UsageError("stdout cannot take both the dump and JSON", hint="give a file")
    guest = app.guest(target)
    if form in KERNEL_FORMATS:
        _export_kernel(app, guest, form, output, force, linked)
        return
    started = time.monotonic()
    progress = Progress("export", app.is_terminal or output != "-")
    with ending_by_exception(), app.stillness(), progress:
        export = prepare_export(guest)
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


def _export_kernel(
    app: AppContext, guest: Guest, form: str, output: str, force: bool, linked: bool
) -> None:
    from ntbdbg.analysis.kernelfile import make_kernel_file
    from ntbdbg.render.export import kernel_facts, kernel_line

    if output == "-" and app.is_terminal:
        raise UsageError("such a file is nothing for a terminal", hint="pipe it on, or give a file")
    started = time.monotonic()
    with ending_by_exception(), app.stillness():
        made = make_kernel_file(guest, form, output, __version__, linked=linked)
    for text in made.notes:
        app.note(text)
    with _place(app, made.size, output, force) as sink:
        position = 0
        for piece in made.pieces:
            sink.write(position, piece)
            position += len(piece)
        sink.finish(position)
    facts = kernel_facts(made, form, output, time.monotonic() - started)
    if app.json:
        app.emit("export", facts)
    else:
        (app.note if output == "-" else app.write)(kernel_line(facts))


@contextlib.contextmanager
def _place(app: AppContext, size: int, output: str, force: bool) -> Iterator[Sink]:
    if output == "-":
        yield StreamSink(app.out)
        return
    with FileSink(output, size, replace=force) as sink:
        yield sink


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
