# SPDX-License-Identifier: MIT
"""Files that hold guest memory, told apart by how they begin."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.memory.image import ImageMemory

#: how a file begins → the module that opens it
_READERS = {
    b"\x7fELF": "elfcore",
    b"KDUMP   ": "kdump",
    b"DISKDUMP": "kdump",
    b"makedumpfile\0\0\0\0": "flatdump",
    b"EMiL": "lime",
    b"AVML": "avml",
}


def sniff(path: str) -> str | None:
    """Which module of this package reads the regular file at `path`; None if none does."""
    with contextlib.suppress(OSError):
        # O_NONBLOCK: a FIFO must not hang us.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                head = os.pread(fd, 16, 0)
                return next((r for magic, r in _READERS.items() if head.startswith(magic)), None)
        finally:
            os.close(fd)
    return None


def refuse_foreign(path: str) -> None:
    """Raise FormatError if the file at `path` holds memory, but not as it is, or none at all.

    :raises OSError: it cannot be read
    """
    from ntbdbg.memory.formats.foreign import HEAD, refuse

    with open(path, "rb") as file:
        refuse(path, file.read(HEAD))


def open_image(path: str, reader: str, name: str) -> ImageMemory:
    """The memory in the dump at `path`.

    :param reader: what `sniff` said
    :param name: what messages call it
    :raises TargetError: the file cannot be read
    :raises FormatError: it is not what it claims to be
    """
    module = importlib.import_module(f"ntbdbg.memory.formats.{reader}")
    memory: ImageMemory = module.open_image(path, name)
    _refuse_foreign(path, memory)
    return memory


def _refuse_foreign(path: str, memory: ImageMemory) -> None:
    """Raise FormatError if the kernel's own note in a dump is of another architecture."""
    text = memory.facts.vmcoreinfo
    if text is None:
        return
    from ntbdbg.arch.foreign import Foreign, of_vmcoreinfo, refusal

    foreign = of_vmcoreinfo(text)
    if foreign:
        memory.close()
        raise refusal(path, Foreign(foreign, "its VMCOREINFO note"))
