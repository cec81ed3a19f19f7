# SPDX-License-Identifier: MIT
"""The file that a QEMU of others keeps its guest's RAM in, found by what it has mapped.

Never by a path of its command line alone: the process may live in other namespaces, the file may
be gone from its folder, or another one may be there now.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from ntbdbg.errors import TargetError
from ntbdbg.lab.sources.argv import Backend
from ntbdbg.lab.sources.hostguests import mappings_of
from ntbdbg.lab.sources.procfs import Mapping, Process
from ntbdbg.units import format_size


class HostFile(NamedTuple):
    """A file that can be opened here.

    :ivar path: its own, or that of QEMU's descriptor of it in /proc
    :ivar size: bytes of the file
    :ivar offset: where the guest's RAM begins in it
    """

    path: str
    device: int
    inode: int
    size: int
    offset: int


def find_file(process: Process, backend: Backend, name: str) -> HostFile:
    """Where the bytes of `backend` are.

    :param name: what messages call the guest
    :raises TargetError: in no file, or nobody may look
    """
    if process.maps is None:
        raise TargetError(
            f"process {process.pid} is QEMU of guest {name}, of user {process.uid}: its memory may "
            "be read by root only",
            hint="do it as root",
        )
    mapped = [one for one in mappings_of(process, backend) if one.shared]
    whole = {(one.device, one.inode): one for one in mapped if one.size == backend.size}
    if not mapped:
        raise _in_no_file(process, backend, name)
    if len(whole) != 1:
        sizes = ", ".join(format_size(one.size) for one in mapped)
        raise TargetError(
            f"{name}: process {process.pid} has no single mapping of {format_size(backend.size)}, "
            f"but of {sizes}",
            hint="name the file, and say where it lies: --segments GPA:SIZE:OFFSET",
        )
    [mapping] = whole.values()
    return _opened(process, mapping, name)


def _in_no_file(process: Process, backend: Backend, name: str) -> TargetError:
    where = f"; {backend.path} is mapped privately (share=off)" if backend.path else ""
    return TargetError(
        f"{name}: its RAM lies in the memory of QEMU itself (process {process.pid}), which is not "
        f"attached to{where}",
        hint="start it with a memory-backend-memfd, or a memory-backend-file with share=on",
    )


def _opened(process: Process, mapping: Mapping, name: str) -> HostFile:
    """By its own path if that still leads to it, else by one of QEMU's descriptors."""
    descriptors = (process.path(f"fd/{number}") for number in sorted(process.descriptors))
    for path in (mapping.path, *descriptors):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            number = os.major(status.st_dev), os.minor(status.st_dev)
            # File systems in layers tell another device here than stat(2).
            same = number == mapping.device or path == mapping.path
            if status.st_ino == mapping.inode and same:
                size = status.st_size
                return HostFile(path, status.st_dev, status.st_ino, size, mapping.offset)
    raise TargetError(
        f"{name}: the file of its RAM, {mapping.path}, is not there, and process {process.pid} has "
        "no descriptor of it that we may use",
        hint="do it as root",
    )
