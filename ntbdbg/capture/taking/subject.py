# SPDX-License-Identifier: MIT
"""What a capture is of: guests, their records with everything of this host left out, the page."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntbdbg.capture.reading.capture import MAX_PAGE
from ntbdbg.capture.reading.form import PAGE_FILE
from ntbdbg.errors import NtbdbgError, TargetError
from ntbdbg.lab.manifest import (
    ALLOWED,
    LAUNCHER,
    SCHEMA,
    GuestRecord,
    Manifest,
    RamRecord,
    SegmentRecord,
)
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.ntb.settle import Settler
from ntbdbg.ntb.source import PageFile

if TYPE_CHECKING:
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.lab import Lab
    from ntbdbg.lab.manifest import CaptureRecord

RAM = ".ram"
CONSOLE = ".console"
LOG = ".log"

TAIL = 256 << 10
"""Bytes that are kept of the end of a console's and a QEMU's log."""


def chosen(lab: Lab, names: Sequence[str] | None) -> list[Guest]:
    """The guests to capture, each with RAM that can be read.

    :param names: all whose RAM is there, if None
    :raises TargetError: no such guest, or no RAM of it
    """
    if names is not None:
        return [_with_ram(lab.guest(name)) for name in dict.fromkeys(names)]
    found, missing = [], []
    for name in lab.names:
        try:
            found.append(_with_ram(lab.guest(name)))
        except TargetError as error:
            missing.append(error)
    if not found and missing:
        raise missing[0]
    if not found:
        raise TargetError("there is no guest to capture", hint="'ntbdbg info' tells where it looks")
    for problem in missing:
        lab.note(f"left out: {problem.message}")
    return found


def _with_ram(guest: Guest) -> Guest:
    if not isinstance(guest.memory, RamFile):
        raise TargetError(
            f"{guest.name} is a dump, which is preserved as it is", hint="copy the file"
        )
    return guest


def plain_name(guest: Guest) -> str:
    """What the capture calls it: for a bare RAM file its name without the path."""
    return os.path.basename(guest.name)


def record_of(guest: Guest) -> GuestRecord:
    """The guest as run.json of the capture has it; `state` and `vcpus` are not known here."""
    assert isinstance(guest.memory, RamFile)
    name = plain_name(guest)
    segments = (
        guest.record.ram.segments
        if guest.record
        else tuple(SegmentRecord(*segment) for segment in guest.memory.segments)
    )
    ram = RamRecord(name + RAM, 0, 0, guest.memory.file.identity.size, segments)
    if guest.record is None:
        return GuestRecord(name, 0, ram, "", "", "", "", machine="")
    return dataclasses.replace(
        guest.record,
        ram=ram,
        qmp="",
        qmp_launcher="",
        console_log=name + CONSOLE,
        log=name + LOG,
        process=None,
        ssh_port=None,
        console_port=None,
    )


def logs_of(guest: Guest) -> Iterator[tuple[str, bytes]]:
    """Ends of the guest's logs, by the names that `record_of` gives them."""
    if guest.record is None:
        return
    for path, suffix in ((guest.record.console_log, CONSOLE), (guest.record.log, LOG)):
        tail = _tail(path, guest.lab.owners)
        if tail:
            yield plain_name(guest) + suffix, tail


def _tail(path: str, owners: tuple[int, ...] | None) -> bytes:
    try:
        with contextlib.closing(CheckedFile(path, "capture", "log", owners=owners)) as file:
            kept = min(file.size, TAIL)
            return file.read(file.size - kept, kept)
    except (OSError, TargetError):
        return b""


def manifest_of(
    lab: Lab, records: tuple[GuestRecord, ...], with_page: bool, capture: CaptureRecord
) -> Manifest:
    """run.json of the capture."""
    if lab.manifest is None:
        return Manifest("bare", "booted", capture.started, records, capture=capture)
    link = lab.link
    if link is not None:
        link = dataclasses.replace(link, shared_page=PAGE_FILE, socket="", log=None)
    return dataclasses.replace(
        lab.manifest,
        guests=records,
        link=link if with_page else None,
        launcher=None,
        capture=capture,
        source=LAUNCHER,
        may=ALLOWED,
        schema=SCHEMA,
    )


class PageCopy:
    """The shared page, looked at first when this is made, and taken later."""

    def __init__(self, lab: Lab) -> None:
        self._settler: Settler | None = None
        self._problem: str | None = None
        if lab.link is None or lab.manifest is None:
            return
        alive = {record.index for record in lab.manifest.guests if record.is_alive()}
        try:
            page = PageFile(lab.link.shared_page, owners=lab.owners)
            self._settler = Settler(lambda: page.whole(MAX_PAGE), alive)
        except NtbdbgError as error:
            self._problem = error.message

    def taken(self, notes: list[str], *, stopped: bool) -> bytes | None:
        """Its bytes, None if there is no page; what is wrong with them is added to `notes`.

        :param stopped: whether guests stand still, so that it will come to rest
        """
        if self._settler is None:
            notes += [self._problem] if self._problem else []
            return None
        data, settled = self._settler.settled(wait=stopped)
        if stopped and not settled:
            notes.append("the shared page still moved when all guests stood still")
        return data
