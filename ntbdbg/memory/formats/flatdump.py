# SPDX-License-Identifier: MIT
"""Dumps in makedumpfile's flattened format: what lies in it is an ELF core or a kdump file."""

from __future__ import annotations

from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats.elfcore import open_core
from ntbdbg.memory.formats.elfformat import MAGIC
from ntbdbg.memory.formats.flattened import FlattenedFile
from ntbdbg.memory.formats.kdump import open_kdump
from ntbdbg.memory.image import ImageMemory


def open_image(path: str, name: str) -> ImageMemory:
    """The memory in the dump at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    file = CheckedFile(path, name, "flattened dump")
    try:
        source = FlattenedFile(file)
        is_core = source.read(0, len(MAGIC)) == MAGIC
        return open_core(source, name) if is_core else open_kdump(source, name)
    except BaseException:
        file.close()
        raise
