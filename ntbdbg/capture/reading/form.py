# SPDX-License-Identifier: MIT
"""The form of a capture: names of its files, limits, and what of its manifest is believed.

A capture may come from anybody. Its manifest is therefore read without looking at who owns it,
but nothing in it leads out of the capture: files are plain names beside run.json, and processes,
sockets and build files of the host where it was taken are forgotten. `docs/captures.md` is the
prose.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, NoReturn

from ntbdbg.errors import FormatError, UsageError
from ntbdbg.lab.manifest import FILE_NAME, Manifest
from ntbdbg.lab.recorded import segments_of

if TYPE_CHECKING:
    from ntbdbg.lab.manifest import CaptureRecord, GuestRecord, KernelRecord, LinkRecord

VERSION = 1
"""Of what this ntbdbg writes, and the highest that it reads."""

PAGE_FILE = "page.bin"

MAX_MANIFEST = 16 << 20
"""Bytes of run.json that are read."""

MAX_GUESTS = 64
MAX_SEGMENTS = 4096
MAX_RAM = 1 << 40
"""Bytes of one guest's RAM."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def parse_manifest(data: bytes, path: str) -> Manifest:
    """run.json of the capture at `path`, checked; everything that leads out of it is left out.

    :raises FormatError: no JSON, no capture, of a newer version, or absurd
    """
    if len(data) > MAX_MANIFEST:
        _refuse(path, f"its {FILE_NAME} is longer than {MAX_MANIFEST} bytes")
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"its {FILE_NAME} is not JSON: {error}", hint=_LOST) from None
    _check_version(parsed, path)
    try:
        return checked(Manifest.from_json(parsed, path=path), path)
    except FormatError as error:
        # What the error of a live lab's manifest advises does not help here.
        raise FormatError(path, error.offset, error.reason, hint=_LOST) from None


def checked(manifest: Manifest, path: str) -> Manifest:
    """As `parse_manifest`, of what was parsed already."""
    import dataclasses

    capture = manifest.capture
    if capture is None:
        _refuse(path, f"its {FILE_NAME} is not that of a capture")
    if capture.version > VERSION:
        _refuse_newer(path, capture.version)
    if not 0 < len(manifest.guests) <= MAX_GUESTS:
        _refuse(path, f"claims {len(manifest.guests)} guests")
    if len({guest.name for guest in manifest.guests}) < len(manifest.guests):
        _refuse(path, "has two guests of one name")
    return dataclasses.replace(
        manifest,
        capture=_finite(capture, path),
        guests=tuple(_guest(record, path) for record in manifest.guests),
        link=manifest.link and _link(manifest.link, path),
        launcher=None,
    )


def _check_version(data: object, path: str) -> None:
    """Say first that a capture is newer, as it may break any other rule."""
    capture = data.get("capture") if isinstance(data, dict) else None
    version = capture.get("version") if isinstance(capture, dict) else None
    if isinstance(version, int) and version > VERSION:
        _refuse_newer(path, version)


def _finite(capture: CaptureRecord, path: str) -> CaptureRecord:
    for name in ("started", "moment", "standstill"):
        value = getattr(capture, name)
        if not math.isfinite(value) or not 0 <= value < 1e11:
            _refuse(path, f"capture.{name} is {value}")
    return capture


def _guest(record: GuestRecord, path: str) -> GuestRecord:
    import dataclasses

    ram = record.ram
    names = [record.name, ram.path]
    names += [name for name in (record.console_log, record.log) if name]
    for name in names:
        _check_name(name, path)
    if not 0 < ram.size <= MAX_RAM or len(ram.segments) > MAX_SEGMENTS:
        _refuse(path, f"{record.name} has {ram.size} bytes of RAM in {len(ram.segments)} segments")
    try:
        segments_of(record).check_backing(ram.size, record.name)
    except UsageError as error:
        raise FormatError(path, None, error.message, hint=_LOST) from None
    return dataclasses.replace(
        record,
        process=None,
        qmp="",
        qmp_launcher="",
        ssh_port=None,
        console_port=None,
        kernel=record.kernel and _kernel(record.kernel),
    )


def _kernel(kernel: KernelRecord) -> KernelRecord:
    import dataclasses

    return dataclasses.replace(kernel, image="", initramfs=None, vmlinux=None, modules=None)


def _link(link: LinkRecord, path: str) -> LinkRecord:
    import dataclasses

    _check_name(link.shared_page, path)
    return dataclasses.replace(link, socket="", log=None)


def _check_name(name: str, path: str) -> None:
    """A file or guest of a capture is called by a plain word: no path leads out of it."""
    if not _NAME.fullmatch(name):
        _refuse(path, f"names a file or guest {name!r:.60}, which is no plain name")


def _refuse_newer(path: str, version: int) -> NoReturn:
    raise FormatError(
        path,
        None,
        f"is a capture of version {version}, this ntbdbg reads up to {VERSION}",
        hint="read it with the ntbdbg that wrote it, or a newer one",
    )


def _refuse(path: str, reason: str) -> NoReturn:
    raise FormatError(path, None, reason, hint=_LOST)


_LOST = "take the capture again, or get another copy of it"
