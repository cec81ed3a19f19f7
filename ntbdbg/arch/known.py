# SPDX-License-Identifier: MIT
"""Architectures that are understood: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Container

from ntbdbg.arch.base import Architecture
from ntbdbg.arch.x86_64 import X86_64

ALL: tuple[Architecture, ...] = (X86_64,)
DEFAULT = ALL[0]
"""Of what tells none."""


def by_name(name: str) -> Architecture | None:
    """The one that ``uname -m`` and run.json call so; None if it is not understood."""
    return next((arch for arch in ALL if arch.name == name), None)


def by_utsname(machine: bytes) -> Architecture | None:
    """As `by_name`, of the field of a ``struct new_utsname``, which a NUL ends."""
    return by_name(machine.partition(b"\0")[0].decode("latin-1"))


def by_elf(machine: int) -> Architecture | None:
    """The one of an ELF file by its e_machine; None if it is not understood."""
    return next((arch for arch in ALL if arch.elf_machine == machine), None)


def of_vmcoreinfo(keys: Container[str]) -> Architecture | None:
    """The one of a kernel that tells these of itself; None if it is not understood."""
    return next((arch for arch in ALL if arch.told_by in keys), None)
