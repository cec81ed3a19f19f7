# SPDX-License-Identifier: MIT
"""What the notes of a vmcore say: registers of the CPUs, VMCOREINFO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.memory.formats.elfformat import NT_PRSTATUS, Note, parse_notes

if TYPE_CHECKING:
    from ntbdbg.arch.base import Architecture

MAX_NOTES = 16 << 20
"""Bytes of notes that are looked at: those of 20,000 CPUs."""

_VMCOREINFO = b"VMCOREINFO"
_CPU = b"CORE"


class NoteFacts(NamedTuple):
    """As in `ntbdbg.memory.image.ImageFacts`."""

    vmcoreinfo: bytes | None
    vcpus: tuple[Mapping[str, int], ...]


def read_notes(data: bytes, arch: Architecture) -> NoteFacts:
    """The facts in note segments; notes of other kinds are passed over.

    :param arch: whose registers are in them
    """
    vmcoreinfo: bytes | None = None
    threads: list[dict[str, int]] = []
    cpus: list[dict[str, int]] = []
    for note in parse_notes(data):
        if note.name == _VMCOREINFO and vmcoreinfo is None:
            vmcoreinfo = note.desc
        elif note.name == _CPU and note.type == NT_PRSTATUS:
            threads.append(arch.notes.parse_prstatus(note.desc))
        elif note.name == arch.notes.OWN:
            cpus.append(arch.notes.parse_own(note.desc))
    # QEMU tells more of each CPU, in the same order.
    nothing: dict[str, int] = {}
    merged = (a | b for a, b in zip_longest(threads, cpus, fillvalue=nothing))
    return NoteFacts(vmcoreinfo, tuple(registers for registers in merged if registers))


def build_notes(
    vcpus: Sequence[Mapping[str, int]], vmcoreinfo: bytes | None, arch: Architecture
) -> bytes:
    """A note segment as QEMU writes it: CPUs, then QEMU's own of each CPU, then VMCOREINFO."""
    return b"".join(note.build() for note in _notes(vcpus, vmcoreinfo, arch))


def _notes(
    vcpus: Sequence[Mapping[str, int]], vmcoreinfo: bytes | None, arch: Architecture
) -> Iterator[Note]:
    for number, registers in enumerate(vcpus):
        yield Note(_CPU, NT_PRSTATUS, arch.notes.build_prstatus(registers, number + 1))
    if arch.notes.OWN is not None:
        own = [arch.notes.build_own(registers) for registers in vcpus]
        if None not in own:
            yield from (Note(arch.notes.OWN, 0, desc) for desc in own if desc is not None)
    if vmcoreinfo is not None:
        yield Note(_VMCOREINFO, 0, vmcoreinfo)
