# SPDX-License-Identifier: MIT
"""Ports on 127.0.0.1: whether one is free, and who has it if not."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from run.base.errors import HostError, RunError
from run.vm.plan import GuestPlan

LISTEN = "0A"


def check(plans: Sequence[GuestPlan]) -> None:
    """Raise RunError for the first port that is taken, before anything starts."""
    for plan in plans:
        _check(plan.ssh_port, f"ssh of {plan.name}", "--ssh-port-base")
        _check(plan.console_port, f"the console of {plan.name}", "--console-port-base")


def _check(port: int | None, use: str, option: str) -> None:
    if port is None:
        return
    try:
        with socket.socket() as probe:
            # As QEMU does: connections of a former run that linger do not take the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RunError(
                f"port {port}, for {use}, is taken{_by(port)}", hint=f"move it by {option}=PORT"
            ) from None
        raise HostError(
            f"port {port}, for {use}: {error.strerror}", hint=f"move it by {option}=PORT"
        ) from error


def _by(port: int) -> str:
    pid = holder(port)
    if pid is None:
        return ""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = "?"
    return f" by {name} (pid {pid})"


def holder(port: int) -> int | None:
    """The process that listens on `port`, None if there is none or it is not ours to see."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    if not inodes:
        return None
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and inodes & _open_files(name):
            return int(name)
    return None


def _listening(port: int) -> set[str]:
    """Inodes of sockets that listen on `port` (columns of /proc/net/tcp: 1 address, 3 state)."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in (line.split() for line in lines):
            if columns[3] == LISTEN and int(columns[1].rsplit(":", 1)[1], 16) == port:
                found.add(columns[9])
    return found


def _open_files(pid: str) -> set[str]:
    found = set()
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            found.add(os.readlink(entry.path))  # noqa: PTH115
    except OSError:
        pass
    return found
