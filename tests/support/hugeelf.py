# SPDX-License-Identifier: MIT
"""A small ELF core that claims very much memory: 64 letters, and zeros up to 1 PiB."""

from __future__ import annotations

from pathlib import Path

from ntbdbg.memory import formats
from ntbdbg.memory.base import PhysicalMemory
from tests.support.elfwriter import Load, elf_core

CLAIMED = 1 << 50


def open_huge(path: Path) -> PhysicalMemory:
    """Written at `path` and opened."""
    path.write_bytes(elf_core([Load(0, b"A" * 64, memsz=CLAIMED)]))
    reader = formats.sniff(str(path))
    assert reader is not None
    return formats.open_image(str(path), reader, "huge")
