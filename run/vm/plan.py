# SPDX-License-Identifier: MIT
"""Where everything of one run will be: files, sockets, ports. Pure: only names are made."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import UsageError
from run.vm.options import LaunchOptions

SHM = Path("/dev/shm")

#: NT ports of the modelled switch by position on the link
NT_PORTS = (0, 2, 4, 6, 8, 12)

#: the longest name that a UNIX socket may have (sun_path without its final zero)
MAX_SOCKET_PATH = 107


@dataclass(frozen=True)
class LabPaths:
    """The files of one lab.

    Names are derived from the lab's folder alone, so that whoever comes after a launcher that
    was killed finds everything it made, written down or not.

    :param folder: the lab's private folder, with run.json
    :param uid: whose it is
    """

    folder: Path
    uid: int

    @property
    def tag(self) -> str:
        """Tells this lab's files in /dev/shm from those of any other lab and user."""
        return f"ntbdbg-{self.uid}-{self.folder.name}-{zlib.crc32(bytes(self.folder)):08x}"

    @property
    def shm(self) -> Path:
        """Private folder in /dev/shm: RAM files and a second name of the shared page."""
        return SHM / self.tag

    @property
    def page_name(self) -> str:
        """What ivshmem-server creates by shm_open(), which takes no folders."""
        return f"{self.tag}.page"

    @property
    def page(self) -> Path:
        """The shared page under a name that outlives the server, which removes its own."""
        return self.shm / "page"

    @property
    def manifest(self) -> Path:
        return self.folder / "run.json"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def keep_ram(self) -> Path:
        """Exists if RAM files shall outlive the lab."""
        return self.folder / "keep-ram"

    @property
    def server_socket(self) -> Path:
        return self.folder / "ivshmem"

    @property
    def server_log(self) -> Path:
        return self.folder / "ivshmem-server.log"

    @property
    def launcher_log(self) -> Path:
        return self.folder / "launcher.log"

    @property
    def initrd(self) -> Path:
        """The guests' first root file system, with their host key in it."""
        return self.folder / "initrd"

    def own_initrd(self, guest: str) -> Path:
        """That of a guest with a kernel of its own."""
        return self.folder / f"{guest}.initrd"

    def qmp(self, guest: str) -> Path:
        return self.folder / f"{guest}.qmp"

    def qmp_launcher(self, guest: str) -> Path:
        return self.folder / f"{guest}.qmp-launcher"

    def disk(self, guest: str) -> Path:
        """A link to the guest's disk, which is large and lies in the build folder."""
        return self.folder / f"{guest}.disk"

    def console_log(self, guest: str) -> Path:
        return self.folder / f"{guest}.console.log"

    def log(self, guest: str) -> Path:
        return self.folder / f"{guest}.log"


@dataclass(frozen=True)
class GuestPlan:
    """One guest to be.

    :param port: NT port, None without a link
    :param ssh_port, console_port: on 127.0.0.1; None if the user's own options have none
    """

    name: str
    index: int
    port: int | None
    ram: Path
    paths: LabPaths
    ssh_port: int | None = None
    console_port: int | None = None

    @property
    def number(self) -> int:
        """What users call it: VM 1, VM 2."""
        return self.index + 1


def guest_names(count: int) -> list[str]:
    """``qemu`` alone, or ``qemu1``, ``qemu2``, …"""
    return ["qemu"] if count == 1 else [f"qemu{number}" for number in range(1, count + 1)]


def plan_guests(options: LaunchOptions, paths: LabPaths) -> list[GuestPlan]:
    """The guests of a run; raises UsageError for ports out of range or clashing."""
    folder = SHM if options.shm else paths.shm
    plans = []
    for index, name in enumerate(guest_names(options.guests)):
        plans.append(
            GuestPlan(
                name=name,
                index=index,
                port=NT_PORTS[index] if options.guests > 1 else None,
                ram=folder / name,
                paths=paths,
                ssh_port=options.ssh_port_base + index,
                console_port=options.console_port_base + index,
            )
        )
    _check_ports(plans)
    _check_sockets(plans)
    return plans


def forwarded_ssh_port(words: Sequence[str]) -> int | None:
    """The host port that QEMU options `words` forward to the guest's port 22."""
    match = re.search(r"hostfwd=tcp:[^:,]*:(\d+)-[^:,]*:22\b", " ".join(words))
    return int(match[1]) if match else None


def telnet_port(words: Sequence[str]) -> int | None:
    """The host port of a serial console that QEMU options `words` serve by telnet."""
    text = " ".join(words)
    match = re.search(r"telnet:[^:,\s]*:(\d+)", text)
    if match is None and "telnet=on" in text:
        match = re.search(r"port=(\d+)", text)
    return int(match[1]) if match else None


def _check_ports(plans: Sequence[GuestPlan]) -> None:
    ports = [p for plan in plans for p in (plan.ssh_port, plan.console_port) if p is not None]
    for port in ports:
        if not 1 <= port <= 65535:
            raise UsageError(f"port {port} does not exist", hint="ports are 1 to 65535")
        if ports.count(port) > 1:
            raise UsageError(
                f"port {port} would be used twice",
                hint="move --ssh-port-base or --console-port-base",
            )


def _check_sockets(plans: Sequence[GuestPlan]) -> None:
    longest = max((plan.paths.qmp_launcher(plan.name) for plan in plans), key=lambda p: len(str(p)))
    if len(bytes(longest)) > MAX_SOCKET_PATH:
        raise UsageError(
            f"{longest}: longer than the {MAX_SOCKET_PATH} bytes that a socket's name may have",
            hint="give the lab a shorter --name, or set XDG_RUNTIME_DIR to a shorter path",
        )
