# SPDX-License-Identifier: MIT
"""Taking a capture: everything at one moment, though guests stand still for a fraction of it.

RAM is copied while the guests run, then brought up to date; then all are stopped, what changed
since is found and copied, registers and the shared page are taken, and all go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.capture.reading import checksums
from ntbdbg.capture.reading.blocks import OpenFiles, sums_of
from ntbdbg.capture.reading.capture import DEAD
from ntbdbg.capture.reading.form import PAGE_FILE, VERSION
from ntbdbg.capture.reading.packing import pack
from ntbdbg.capture.taking import subject
from ntbdbg.capture.taking.making import Making
from ntbdbg.errors import QmpError
from ntbdbg.inspect.livecopy import LiveCopy, Pair
from ntbdbg.lab.elsewhere import ram_elsewhere
from ntbdbg.lab.manifest import CHECKSUM_FILE, FILE_NAME, CaptureRecord, Manifest, VcpuRecord
from ntbdbg.lab.recorded import architecture_of
from ntbdbg.lab.registers import read_registers
from ntbdbg.lab.signals import ending_by_exception
from ntbdbg.memory.ramfile import RamFile

if TYPE_CHECKING:
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.lab import Lab
    from ntbdbg.lab.qmp import Qmp
    from ntbdbg.lab.standstill import Standstill

PASSES = 3
"""Of which the last one is the one that guests stand still for."""

PACKED = "packed"

Progress = Callable[[str], Callable[[int, int], None]]
"""Called with what is about to be done; what it gives is called with done and to do."""


class Options(NamedTuple):
    """How a capture is to be taken.

    :ivar guests: by name, all if None
    :ivar pack: as one compressed file
    :ivar freeze: whether guests are stopped; without, what is captured may be torn
    :ivar replace: whether a capture of that name may be replaced
    :ivar reason: why it is taken, for people
    """

    guests: Sequence[str] | None = None
    pack: bool = False
    freeze: bool = True
    replace: bool = False
    reason: str = "asked for"


class Taken(NamedTuple):
    """A capture that was taken.

    :ivar path: of it
    :ivar manifest: its run.json
    :ivar changed: bytes that had to be copied while guests stood still
    :ivar size: bytes of disk that it takes
    """

    path: str
    manifest: Manifest
    changed: int
    size: int


class Moment(NamedTuple):
    """What is taken while all stand still.

    :ivar still: how they were stopped, None if they were not
    :ivar when: seconds since the epoch
    :ivar vcpus: by guest
    :ivar page: the shared page, None if there is none
    :ivar notes: what could not be had
    """

    still: Standstill | None
    when: float
    vcpus: dict[str, tuple[VcpuRecord, ...]]
    page: bytes | None
    changed: int
    notes: list[str]


def take(lab: Lab, path: str, options: Options, progress: Progress, program: str) -> Taken:
    """Capture `lab` at `path`.

    :param progress: see `Progress`
    :param program: name and version of who does it
    :raises UsageError: `path` is taken or no capture's name; no such guest
    :raises TargetError: no room, a guest that cannot be stopped or vanished; nothing is left
    """
    lab.refuse_capture("captured")
    started = time.time()
    with ending_by_exception(), Making(path, replace=options.replace) as making:
        guests = subject.chosen(lab, options.guests)
        elsewhere = [note for guest in guests for note in ram_elsewhere(guest, if_likely=True)]
        making.check_room(_room(guests) * (2 if options.pack else 1))
        moment = _copy(lab, guests, making, options, progress)
        moment.notes.extend(elsewhere)
        manifest = _manifest(lab, guests, moment, started, options.reason, program)
        _write(making, guests, manifest, moment)
        made = _conclude(making, options.pack, progress)
        making.finish(made)
    return Taken(making.path, manifest, moment.changed, _disk_usage(making.path))


def _room(guests: Sequence[Guest]) -> int:
    """Bytes that their RAM takes now."""
    return sum(guest.memory.allocated() for guest in guests if isinstance(guest.memory, RamFile))


def _copy(
    lab: Lab, guests: Sequence[Guest], making: Making, options: Options, progress: Progress
) -> Moment:
    with contextlib.ExitStack() as stack:
        pairs = []
        for guest in guests:
            fd = making.open(subject.plain_name(guest) + subject.RAM)
            stack.callback(os.close, fd)
            assert isinstance(guest.memory, RamFile)
            pairs.append(Pair(guest.memory, fd))
        live = any(guest.is_live for guest in guests)
        copy = stack.enter_context(LiveCopy(pairs, PASSES if live else 1))
        copy.update(progress("copying"))
        if not live:
            return _dead_moment(lab)
        for pair in pairs:
            # What is on disk already does not have to wait for it while guests stand still.
            os.fdatasync(pair.copy)
        copy.update()
        stops = options.freeze and lab.manifest is not None
        with lab.frozen() if stops else contextlib.nullcontext() as still:
            return _moment(lab, copy, still)


def _moment(lab: Lab, copy: LiveCopy, still: Standstill | None) -> Moment:
    """Everything that belongs to one moment; workers go through RAM meanwhile."""
    notes: list[str] = []
    when = still.moment if still else time.time()
    copy.start()
    page = subject.PageCopy(lab)
    vcpus = _registers_of_all(lab, still, notes) if still else {}
    changed = copy.finish()
    data = page.taken(notes, stopped=still is not None)
    return Moment(still, when, vcpus, data, changed, notes)


def _dead_moment(lab: Lab) -> Moment:
    notes: list[str] = []
    page = subject.PageCopy(lab)
    return Moment(None, time.time(), {}, page.taken(notes, stopped=True), 0, notes)


def _registers_of_all(
    lab: Lab, still: Standstill, notes: list[str]
) -> dict[str, tuple[VcpuRecord, ...]]:
    records = {record.name: record for record in lab.manifest.guests} if lab.manifest else {}
    return {
        name: _registers(monitor, architecture_of(records.get(name)), notes)
        for name, monitor in still.monitors.items()
    }


def _registers(monitor: Qmp, arch: str, notes: list[str]) -> tuple[VcpuRecord, ...]:
    try:
        return read_registers(monitor, arch)
    except QmpError as error:
        notes.append(f"no registers: {error.message}")
        return ()


def _manifest(
    lab: Lab,
    guests: Sequence[Guest],
    moment: Moment,
    started: float,
    reason: str,
    program: str,
) -> Manifest:
    still = moment.still
    dead = not any(guest.is_live for guest in guests)
    records = []
    for guest in guests:
        record = subject.record_of(guest)
        state = still.states.get(record.name, DEAD) if still else DEAD if dead else "unknown"
        vcpus = moment.vcpus.get(record.name, ())
        records.append(dataclasses.replace(record, state=state, vcpus=vcpus))
    capture = CaptureRecord(
        version=VERSION,
        started=started,
        moment=moment.when,
        standstill=still.seconds if still else 0.0,
        consistent=still is not None or dead,
        reason=reason,
        program=program,
        notes=tuple(moment.notes),
    )
    return subject.manifest_of(lab, tuple(records), moment.page is not None, capture)


def _write(making: Making, guests: Sequence[Guest], manifest: Manifest, moment: Moment) -> None:
    making.write(FILE_NAME, json.dumps(manifest.to_json(), indent=2).encode() + b"\n")
    if moment.page is not None:
        making.write(PAGE_FILE, moment.page)
    for guest in guests:
        for name, tail in subject.logs_of(guest):
            making.write(name, tail)


def _conclude(making: Making, packed: bool, progress: Progress) -> str | None:
    """Add checksums, or make one file of all; gives that file."""
    paths = _in_order(making)
    if packed:
        fd = making.open(PACKED)
        try:
            pack(paths, fd, progress("packing"))
        finally:
            os.close(fd)
        return making.file(PACKED)
    with OpenFiles(paths) as files:
        sums = sums_of(files, progress("checksums"))
    making.write(CHECKSUM_FILE, checksums.build(sums))
    return None


def _in_order(making: Making) -> list[tuple[str, str]]:
    """Name and path of every file, what is needed to open a capture first, RAM last."""
    names = sorted(os.listdir(making.folder), key=lambda name: (name.endswith(subject.RAM), name))
    names.sort(key=lambda name: name != FILE_NAME)
    return [(name, making.file(name)) for name in names if os.path.getsize(making.file(name))]


def _disk_usage(path: str) -> int:
    names = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else []
    return sum(os.lstat(name).st_blocks * 512 for name in names or [path])
