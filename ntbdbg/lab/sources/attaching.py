# SPDX-License-Identifier: MIT
"""From a guest that somebody else started to a run.json of it. Nothing of it is changed or stopped.

Where its RAM lies is asked of its monitor, if it offers one and nobody else holds it; else told by
QEMU's rule for its machine and by the memory map that its own boot loader left.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence

from ntbdbg.arch.machines import MACHINES
from ntbdbg.errors import NtbdbgError, TargetError
from ntbdbg.lab.baremap import map_of_loader
from ntbdbg.lab.manifest import (
    ATTACHED,
    ATTACHED_SCHEMA,
    GuestRecord,
    Manifest,
    ProcessRef,
    RamRecord,
    SegmentRecord,
)
from ntbdbg.lab.monitors import monitor
from ntbdbg.lab.sources.argv import Backend, QemuLine
from ntbdbg.lab.sources.flatmap import from_mtree
from ntbdbg.lab.sources.flatmap import machine_kind as machine_kind_of
from ntbdbg.lab.sources.hostguests import HostGuest
from ntbdbg.lab.sources.procfs import Process
from ntbdbg.lab.sources.ramfiles import HostFile, find_file
from ntbdbg.lab.sources.which import called
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.layout import qemu_segments

Note = Callable[[str], None]

DEFAULT_RAM = "pc.ram"
"""What QEMU calls the RAM that it makes by itself."""


def attach(
    guests: Sequence[HostGuest], name: str, note: Note, *, may: tuple[str, ...] = ()
) -> Manifest:
    """A lab of `guests`, called `name`.

    :param note: called with what the user should know
    :param may: see `Manifest`
    :raises TargetError: a guest that cannot be attached to, and why
    """
    records = tuple(_record(index, guest, note) for index, guest in enumerate(guests))
    if len({record.name for record in records}) < len(records):
        raise TargetError(
            f"two guests are called {records[0].name}", hint="attach to each by itself"
        )
    return Manifest(
        lab=name,
        state="booted",
        created=time.time(),
        guests=records,
        source=ATTACHED,
        may=may,
        schema=ATTACHED_SCHEMA,
    )


def _record(index: int, guest: HostGuest, note: Note) -> GuestRecord:
    name = called(guest)
    process = Process(guest.pid)
    line = QemuLine(process.argv)
    _refuse(process, line, name)
    [backend] = line.backends
    file = find_file(process, backend, name)
    kind = machine_kind(line)
    bare = GuestRecord(
        name=name,
        index=index,
        ram=RamRecord(file.path, file.device, file.inode, file.size, ()),
        qmp=_socket(guest, name, note),
        qmp_launcher="",
        console_log="",
        log="",
        process=ProcessRef(guest.pid, guest.start_time),
        machine=kind or line.machine.get("", "pc"),
        accelerator=guest.accelerator,
        argv=process.argv,
    )
    segments = _segments(bare, backend, file, line, note)
    return _with_segments(bare, file, segments)


def machine_kind(line: QemuLine) -> str | None:
    """``q35`` or ``pc``, None for another machine (``microvm``); QEMU's own choice is pc."""
    word = line.machine.get("", "pc")
    return word if word in MACHINES else machine_kind_of(word)


def _refuse(process: Process, line: QemuLine, name: str) -> None:
    program = os.path.basename((process.program or process.argv[0]).removesuffix(" (deleted)"))
    if program.startswith("qemu-system-") and program != "qemu-system-x86_64":
        raise TargetError(
            f"{name} is a guest of {program}, whose architecture is not known here",
            hint="ntbdbg attaches to guests of x86-64",
        )
    if line.confidential:
        raise TargetError(
            f"{name} is a confidential guest ({line.confidential}): its memory is ciphertext",
            hint="nothing of it can be read from outside",
        )
    if len(line.backends) > 1:
        raise TargetError(
            f"{name} has its RAM in {len(line.backends)} pieces (NUMA), which is not attached to",
            hint="read one by its path: ntbdbg info FILE --segments GPA:SIZE:OFFSET",
        )


def _socket(guest: HostGuest, name: str, note: Note) -> str:
    """The monitor to be asked, empty if none can be."""
    known = "so registers and run state are not known, and it cannot be stopped"
    one = guest.monitor
    if one is None:
        note(f"{name} offers no monitor (QMP), {known}")
    elif one.held:
        whose = "belongs to libvirt" if one.libvirt else "is in use"
        note(f"{name}: its monitor {whose}, {known}")
    elif one.kind != "unix" or not os.path.exists(one.address):
        note(f"{name}: its monitor, {one.address}, is not reached from here, {known}")
    else:
        return os.path.abspath(one.address)
    return ""


def _segments(
    record: GuestRecord, backend: Backend, file: HostFile, line: QemuLine, note: Note
) -> tuple[SegmentRecord, ...]:
    """Where the backend's bytes are to the guest; offsets are those in the backend."""
    if record.qmp:
        try:
            with monitor(record) as qmp:
                shown = from_mtree(qmp.human("info mtree -f"), backend.name or DEFAULT_RAM)
            if shown:
                return shown
        except NtbdbgError as error:
            note(f"{record.name}: its monitor does not tell where its RAM lies: {error.message}")
    return _without_monitor(record, backend, file, line, note)


def _without_monitor(
    record: GuestRecord, backend: Backend, file: HostFile, line: QemuLine, note: Note
) -> tuple[SegmentRecord, ...]:
    known = record.machine in MACHINES and "max-ram-below-4g" not in line.machine
    rule = qemu_segments(record.machine, backend.size) if known else None
    opened = CheckedFile(file.path, record.name, "RAM file")
    try:
        read = functools.partial(_read, opened, file.offset)
        told = map_of_loader(file.path, backend.size, read, note)
    finally:
        opened.close()
    if told is not None and rule is not None and list(told) != list(rule):
        note(f"{record.name}: its guest's own memory map is taken, not that of {record.machine}")
    segments = told or rule
    if segments is None:
        raise TargetError(
            f"{record.name}: nothing tells where its RAM lies: no monitor, a {record.machine} "
            "machine, and no memory map of its own in it",
            hint=f"say it: ntbdbg info {file.path} --segments GPA:SIZE:OFFSET",
        )
    return tuple(SegmentRecord(*part) for part in segments)


def _read(file: CheckedFile, base: int, offset: int, size: int) -> bytes:
    return file.read(base + offset, size)


def _with_segments(
    record: GuestRecord, file: HostFile, segments: tuple[SegmentRecord, ...]
) -> GuestRecord:
    import dataclasses

    moved = tuple(dataclasses.replace(part, offset=part.offset + file.offset) for part in segments)
    return dataclasses.replace(record, ram=dataclasses.replace(record.ram, segments=moved))
