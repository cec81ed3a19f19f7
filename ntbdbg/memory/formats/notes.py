# SPDX-License-Identifier: MIT
"""What the notes of a vmcore say: registers of the CPUs, VMCOREINFO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from ntbdbg.arch.x86.notes import build_prstatus, build_qemu, parse_prstatus, parse_qemu
from ntbdbg.memory.formats.elfformat import NT_PRSTATUS, Note, parse_notes

MAX_NOTES = 16 << 20
"""Bytes of notes that are looked at: those of 20,000 CPUs."""

_VMCOREINFO = b"VMCOREINFO"
_CPU, _QEMU = b"CORE", b"QEMU"


class NoteFacts(NamedTuple):
    """As in `ntbdbg.memory.image.ImageFacts`."""

    vmcoreinfo: bytes | None
    vcpus: tuple[Mapping[str, int], ...]


def read_notes(data: bytes) -> NoteFacts:
    """The facts in note segments; notes of other kinds are passed over."""
    vmcoreinfo: bytes | None = None
    threads: list[dict[str, int]] = []
    cpus: list[dict[str, int]] = []
    for note in parse_notes(data):
        if note.name == _VMCOREINFO and vmcoreinfo is None:
            vmcoreinfo = note.desc
        elif note.name == _CPU and note.type == NT_PRSTATUS:
            threads.append(parse_prstatus(note.desc))
        elif note.name == _QEMU:
            cpus.append(parse_qemu(note.desc))
    # QEMU tells more of each CPU, in the same order.
    nothing: dict[str, int] = {}
    merged = (a | b for a, b in zip_longest(threads, cpus, fillvalue=nothing))
    return NoteFacts(vmcoreinfo, tuple(registers for registers in merged if registers))


def build_notes(vcpus: Sequence[Mapping[str, int]], vmcoreinfo: bytes | None) -> bytes:
    """A note segment as QEMU writes it: CPUs, then QEMU's own of each CPU, then VMCOREINFO."""
    return b"".join(note.build() for note in _notes(vcpus, vmcoreinfo))


def _notes(vcpus: Sequence[Mapping[str, int]], vmcoreinfo: bytes | None) -> Iterator[Note]:
    for number, registers in enumerate(vcpus):
        yield Note(_CPU, NT_PRSTATUS, build_prstatus(registers, number + 1))
    # Readers take CR3 and the IDT from it to find where the kernel lies: zeros would mislead.
    if all("cr3" in registers and "idt_base" in registers for registers in vcpus):
        for registers in vcpus:
            yield Note(_QEMU, 0, build_qemu(registers))
    if vmcoreinfo is not None:
        yield Note(_VMCOREINFO, 0, vmcoreinfo)
