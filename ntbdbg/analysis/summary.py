# SPDX-License-Identifier: MIT
"""A lab at a glance: its guests, their state and RAM, the link, and how it was found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.capture.reading.form import PAGE_FILE
from ntbdbg.errors import NtbdbgError
from ntbdbg.lab import frozenmark
from ntbdbg.lab.gdbmark import debugger_of
from ntbdbg.lab.monitors import states
from ntbdbg.memory.image import ImageMemory
from ntbdbg.memory.packed import PackedMemory
from ntbdbg.memory.ramfile import RamFile

if TYPE_CHECKING:
    from ntbdbg.lab.lab import Lab
    from ntbdbg.lab.manifest import GuestRecord
    from ntbdbg.lab.place import GuestLike
    from ntbdbg.lab.preserved import Preserved


class GuestSummary(NamedTuple):
    """One guest.

    :ivar state: QEMU's run state, ``alive`` if its monitor is silent, ``dead``, or ``unknown``
        for a bare RAM file, ``dump (ELF core)`` and the like for a dump
    :ivar ram: bytes
    :ivar allocated: bytes of it that take host memory, None if the file is unusable
    :ivar problem: why its RAM cannot be read, None if it can
    :ivar debugger: pid of the gdb that holds it, None if none does
    """

    name: str
    state: str
    path: str
    ram: int
    allocated: int | None
    problem: str | None
    machine: str | None = None
    port: int | None = None
    pid: int | None = None
    ssh_port: int | None = None
    release: str | None = None
    debugger: int | None = None


class CaptureSummary(NamedTuple):
    """When and how a capture was taken: see `CaptureRecord`; `packed`: whether it is one file."""

    started: float
    moment: float
    standstill: float
    consistent: bool
    reason: str
    program: str
    version: int
    packed: bool
    notes: tuple[str, ...]


class LabSummary(NamedTuple):
    """All of it.

    :ivar how: how the lab was found
    :ivar path: its run.json, or the capture; None for bare RAM files
    :ivar shared_page: the link's file, None without a link
    :ivar frozen: guests that ntbdbg stopped and nobody resumed
    :ivar capture: None for a lab that runs or ran here
    """

    name: str | None
    how: str
    path: str | None
    state: str | None
    guests: tuple[GuestSummary, ...]
    shared_page: str | None
    frozen: tuple[str, ...]
    capture: CaptureSummary | None = None


def summarize(lab: Lab) -> LabSummary:
    """Look at every guest; an unusable RAM file or monitor is part of the answer."""
    known = _captured_states(lab.capture) if lab.capture else states(lab)
    mark = frozenmark.read(lab.folder) if lab.folder else None
    return LabSummary(
        name=lab.name,
        how=lab.how,
        path=lab.path,
        state=lab.manifest.state if lab.manifest else None,
        guests=tuple(_guest(lab, name, known.get(name, "unknown")) for name in lab.names),
        shared_page=_shared_page(lab),
        frozen=mark.guests if mark else (),
        capture=_capture(lab.capture) if lab.capture else None,
    )


def state_of(guest: GuestLike) -> str:
    """Of one guest, as `GuestSummary.state`; of one in a capture, what it was then."""
    if isinstance(guest.memory, ImageMemory):
        return _image_state(guest.memory)
    if guest.record is None:
        return "unknown"
    if guest.lab.capture:
        return guest.record.state or "unknown"
    return states(guest.lab, guest.record)[guest.record.name]


def _image_state(memory: ImageMemory) -> str:
    return f"dump ({memory.facts.format})"


def _captured_states(capture: Preserved) -> dict[str, str]:
    return {record.name: record.state or "unknown" for record in capture.manifest.guests}


def _capture(capture: Preserved) -> CaptureSummary:
    record = capture.record
    return CaptureSummary(
        record.started,
        record.moment,
        record.standstill,
        record.consistent,
        record.reason,
        record.program,
        record.version,
        packed=not os.path.isdir(capture.path),
        notes=record.notes,
    )


def _shared_page(lab: Lab) -> str | None:
    if lab.link is None:
        return None
    return lab.capture.where(PAGE_FILE) if lab.capture else lab.link.shared_page


def _guest(lab: Lab, name: str, state: str) -> GuestSummary:
    try:
        summary = _readable(lab.guest(name), state)
        problem = None
    except NtbdbgError as error:
        summary, problem = GuestSummary(name, state, "", 0, None, None), error.message
    record = (
        next((r for r in lab.manifest.guests if r.name == name), None) if lab.manifest else None
    )
    if record is None:
        return summary._replace(problem=problem)
    return summary._replace(
        path=lab.capture.where(record.ram.path) if lab.capture else record.ram.path,
        ram=record.ram.size,
        problem=problem,
        machine=record.machine,
        port=record.port,
        pid=record.process.pid if record.process else None,
        ssh_port=record.ssh_port,
        release=record.kernel.release if record.kernel else None,
        debugger=None if lab.capture else _debugger(record),
    )


def _debugger(record: GuestRecord) -> int | None:
    found = debugger_of(record)
    return found.pid if found else None


def _readable(guest: GuestLike, state: str) -> GuestSummary:
    memory = guest.memory
    if isinstance(memory, ImageMemory):
        size = sum(segment.size for segment in memory.segments)
        path = memory.source.path
        kind = _image_state(memory)
        return GuestSummary(guest.name, kind, path, size, os.stat(path).st_blocks * 512, None)
    if isinstance(memory, PackedMemory):
        return GuestSummary(guest.name, state, "", 0, memory.allocated(), None)
    assert isinstance(memory, RamFile)
    size = os.stat(memory.file.path).st_size
    return GuestSummary(guest.name, state, memory.file.path, size, memory.allocated(), None)
