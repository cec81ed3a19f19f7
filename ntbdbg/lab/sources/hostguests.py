# SPDX-License-Identifier: MIT
"""The guests that QEMU runs on this host, from /proc alone: nothing is connected to or stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ntbdbg.lab.qemus import PROC
from ntbdbg.lab.sources.argv import Backend, MonitorOption, QemuLine
from ntbdbg.lab.sources.procfs import Mapping as Mapped
from ntbdbg.lab.sources.procfs import Process, UnixSocket, unix_sockets

LIBVIRTS_MONITOR = "charmonitor"
"""What libvirt calls the character device of its monitor (its src/qemu/qemu_command.c)."""

_DELETED = " (deleted)"
_KVM = "anon_inode:kvm-vm"


class Lies(NamedTuple):
    """Where a guest's RAM, or a part of it, lies.

    :ivar kind: ``file``; ``memfd``, a file without a path; ``process``, the memory of QEMU itself
    :ivar path: of the file, as QEMU has it; of ``process`` that of a file that is mapped privately
    """

    kind: str
    path: str | None = None


class HostMonitor(NamedTuple):
    """Where QEMU offers QMP.

    :ivar held: whether a client is connected, so that another one would wait
    :ivar libvirt: whether it is libvirt's own
    """

    kind: str
    address: str
    held: bool = False
    libvirt: bool = False


class HostGuest(NamedTuple):
    """A guest of this host.

    :ivar name: by ``-name``, or by the run.json that knows it; None without one
    :ivar start_time: of its process, as of `ProcessRef`
    :ivar uid: the user whose QEMU it is
    :ivar accelerator: ``kvm``, ``tcg``, …; several with ``or`` where nobody may look
    :ivar ram: bytes that its command line says
    :ivar monitor: where QMP is offered, None if it is not
    :ivar readable: whether we may read its memory
    :ivar lab: name of the lab whose run.json knows it
    """

    name: str | None
    uuid: str | None
    pid: int
    start_time: int
    uid: int | None
    accelerator: str
    ram: int
    lies: tuple[Lies, ...]
    monitor: HostMonitor | None
    readable: bool
    lab: str | None = None


Known = Mapping[tuple[int, int], tuple[str, str]]
"""By process id and start time, a guest's name and that of its lab."""


def host_guests(known: Known, proc: str = PROC) -> list[HostGuest]:
    """All that can be told of, by process id.

    :param known: guests of this user's labs
    """
    sockets = unix_sockets(proc)
    pids = sorted(int(entry) for entry in os.listdir(proc) if entry.isdigit())
    found = (Process(pid, proc) for pid in pids)
    return [_guest(process, known, sockets) for process in found if is_qemu(process)]


def is_qemu(process: Process) -> bool:
    """Whether it is QEMU; whose program cannot be told has to be believed its command line."""
    program = process.argv[0] if process.program is None else process.program
    name = os.path.basename(program.removesuffix(_DELETED))
    return name.startswith("qemu-system") or name in ("kvm", "qemu-kvm")


def _guest(process: Process, known: Known, sockets: Sequence[UnixSocket]) -> HostGuest:
    line = QemuLine(process.argv)
    name, lab = known.get((process.pid, process.start_time), (line.name, None))
    return HostGuest(
        name=name,
        uuid=line.uuid,
        pid=process.pid,
        start_time=process.start_time,
        uid=process.uid,
        accelerator=_accelerator(process, line),
        ram=sum(one.size for one in line.backends),
        lies=tuple(dict.fromkeys(lies_in(process, one) for one in line.backends)),
        monitor=_monitor(process, line, sockets),
        readable=process.may_be_read,
        lab=lab,
    )


def _accelerator(process: Process, line: QemuLine) -> str:
    program = os.path.basename(process.program or process.argv[0]).removesuffix(_DELETED)
    may = line.accelerators or (("kvm",) if "kvm" in program else ("tcg",))
    if len(may) > 1 and process.descriptors:
        return "kvm" if _KVM in process.descriptors.values() else may[-1]
    return " or ".join(may)


def lies_in(process: Process, backend: Backend) -> Lies:
    """Where one backend's bytes are; by its command line where we may not look."""
    if process.maps is None:
        shared, path = backend.shared, backend.path
    else:
        mapped = mappings_of(process, backend)
        shared = any(one.shared for one in mapped)
        path = mapped[0].path.removesuffix(_DELETED) if mapped else backend.path
    if not shared:
        return Lies("process", path if backend.path else None)
    has_path = backend.path is not None and path is not None and not path.startswith("/memfd:")
    return Lies("file", path) if has_path else Lies("memfd")


def mappings_of(process: Process, backend: Backend) -> list[Mapped]:
    """What of a process' address space is its `backend`; nothing where we may not look."""
    return [one for one in process.maps or () if _fits(one.path, one.size, backend)]


def _fits(path: str, size: int, backend: Backend) -> bool:
    """Whether a mapping is that of a backend, as far as names and sizes tell."""
    name = path.removesuffix(_DELETED)
    if backend.path:
        own = backend.path.rstrip("/")
        return name == own or name.startswith(own + "/qemu_back_mem")
    return size == backend.size and name.startswith(("/memfd:", "/dev/zero", "/dev/shm/qemu-"))


def _monitor(process: Process, line: QemuLine, sockets: Sequence[UnixSocket]) -> HostMonitor | None:
    found = list(_monitors(process, line, sockets))
    return next((one for one in found if not one.held), found[0] if found else None)


def _monitors(
    process: Process, line: QemuLine, sockets: Sequence[UnixSocket]
) -> Iterator[HostMonitor]:
    for one in line.monitors:
        libvirt = one.chardev == LIBVIRTS_MONITOR
        path = _socket_path(process, one, sockets)
        if path is not None:
            held = any(each.connected for each in sockets if each.path == path)
            yield HostMonitor("unix", path, held, libvirt)
        elif one.kind == "tcp":
            yield HostMonitor("tcp", one.address.partition(",")[0])
        elif libvirt:
            yield HostMonitor(one.kind, one.address, held=True, libvirt=True)


def _socket_path(process: Process, one: MonitorOption, sockets: Sequence[UnixSocket]) -> str | None:
    if one.kind == "unix":
        return one.address
    if one.kind != "fd" or not one.address.isdigit():
        return None
    link = process.descriptors.get(int(one.address), "")
    return next((each.path for each in sockets if link == f"socket:[{each.inode}]"), None)
