# SPDX-License-Identifier: MIT
"""The memory of a guest that a run.json knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.memory.file import CheckedFile, FileIdentity
from ntbdbg.memory.layout import as_seen
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment, SegmentMap

if TYPE_CHECKING:
    from ntbdbg.errors import NtbdbgError
    from ntbdbg.lab.manifest import GuestRecord


def segments_of(record: GuestRecord) -> SegmentMap:
    """Where the pieces of a guest's RAM file lie, what it cannot see left out.

    :raises UsageError: they overlap or leave 64 bits
    """
    parts = [Segment(part.gpa, part.size, part.offset) for part in record.ram.segments]
    return as_seen(parts, record.machine)


def architecture_of(record: GuestRecord | None) -> str:
    """The name of a guest's architecture, as run.json has it; of a bare RAM file the usual one."""
    if record is not None:
        return record.arch
    from ntbdbg.arch.known import DEFAULT

    return DEFAULT.name


def open_recorded(
    record: GuestRecord,
    owners: tuple[int, ...] | None,
    *,
    live: bool,
    refusal: NtbdbgError | None = None,
) -> RamFile:
    """Its RAM file; errors as `RamFile`.

    :param owners: users whose it may be; None means all
    :param live: whether the guest runs
    :param refusal: what writing raises, where it is not allowed
    """
    ram = record.ram
    identity = FileIdentity(ram.device, ram.inode, ram.size)
    return RamFile(
        ram.path,
        segments_of(record),
        name=record.name,
        is_live=live,
        refusal=refusal,
        file=CheckedFile(ram.path, record.name, "RAM file", identity, owners=owners),
    )
