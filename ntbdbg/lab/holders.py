# SPDX-License-Identifier: MIT
"""Which running QEMU has a file mapped, how, and what it is to its guest.

Asked about files that no run.json knows. A file that QEMU maps privately (``share=off``) keeps what
was in it before; a file of a further NUMA node does not begin at address 0. Other users' processes
cannot be looked into.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.lab.qemus import PROC
from ntbdbg.lab.sources.argv import QemuLine, options
from ntbdbg.lab.sources.procfs import Mapping, Process

if TYPE_CHECKING:
    from ntbdbg.memory.file import CheckedFile


class Holder(NamedTuple):
    """A QEMU process that has the file mapped.

    :ivar private: whether only privately, so that what the guest writes is not in the file
    :ivar argv: its command line
    """

    pid: int
    private: bool
    argv: tuple[str, ...]


def holders(file: CheckedFile, pids: Iterable[str], proc: str = PROC) -> list[Holder]:
    """Those of the QEMUs `pids` that have `file` mapped."""
    found = []
    for pid in pids:
        process = Process(int(pid), proc)
        private = _mapping(file, process.maps or [])
        if private is not None:
            found.append(Holder(process.pid, private, process.argv))
    return found


def _mapping(file: CheckedFile, maps: Iterable[Mapping]) -> bool | None:
    """Whether the file is mapped privately alone; None if not at all."""
    device, inode, _ = file.identity
    number = os.major(device), os.minor(device)
    private: bool | None = None
    for one in maps:
        # File systems in layers tell another device here than stat(2).
        if one.inode == inode and (one.device == number or one.path == file.path):
            private = not one.shared and private is not False
    return private


def numa_node(argv: tuple[str, ...], path: str) -> int | None:
    """Which of several NUMA nodes has its RAM in the file at `path`; None if that is not told."""
    nodes = QemuLine(argv).backends
    own = [index for index, one in enumerate(nodes) if one.path and _is_same(one.path, path)]
    return own[0] if len(nodes) > 1 and own else None


def is_of_ivshmem(argv: tuple[str, ...], path: str) -> bool:
    """Whether the file at `path` is what an ivshmem device shows, and no RAM of the machine."""
    devices = [one for one in options(argv, "-device") if one.get("", "").startswith("ivshmem")]
    shown = {one["memdev"] for one in devices if "memdev" in one}
    backends = [one for one in options(argv, "-object") if one.get("id") in shown]
    return any(_is_same(one.get("mem-path", ""), path) for one in backends)


def _is_same(file: str, path: str) -> bool:
    try:
        return os.path.samefile(file, path)
    except OSError:
        return False
