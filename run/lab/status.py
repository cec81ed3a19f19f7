# SPDX-License-Identifier: MIT
"""What runs, and how what ended ended: gathered from run.json, /proc and QEMU's monitor."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ntbdbg.errors import QmpError
from ntbdbg.lab.gdbmark import debugger_of
from ntbdbg.lab.manifest import GuestRecord, LinkRecord, Manifest
from ntbdbg.lab.qmp import Qmp
from run.base import processes
from run.vm.machine import uptime

#: last lines of an ended guest that are shown of each of its logs
LINES = 5

#: seconds for QEMU to say how the guest is; ntbdbg may be talking to it
ANSWER = 1.0


@dataclass(frozen=True)
class GuestStatus:
    """One guest now.

    :param state: `running`, `paused`, `panicked`, `starting`, `ended`, or what QEMU says
    :param uptime: seconds that its QEMU has run, None if it does not
    :param exit_code: as in `subprocess`: negative for a signal, None if it runs or nobody saw it
    :param how: how it ended, as a clause
    :param log_tail, console_tail: last lines of an ended or panicked guest
    :param debugger: pid of the gdb that holds it, None if none does
    :param ram_kept: whether its RAM file is still there
    """

    name: str
    number: int
    state: str
    pid: int | None
    uptime: float | None
    ssh_port: int | None
    console_port: int | None
    accelerator: str
    ram: str
    ram_size: int
    ram_kept: bool
    log: str
    console_log: str
    exit_code: int | None = None
    ended: float | None = None
    how: str | None = None
    log_tail: tuple[str, ...] = ()
    console_tail: tuple[str, ...] = ()
    debugger: int | None = None


@dataclass(frozen=True)
class LinkStatus:
    """The server between the guests; without it no guest can join the link."""

    server_pid: int
    server_runs: bool
    shared_page: str


@dataclass(frozen=True)
class LabStatus:
    """One lab now.

    :param launcher_runs: False where it was killed: then nobody notes how guests end
    """

    name: str
    state: str
    created: float
    launcher_pid: int | None
    launcher_runs: bool
    guests: tuple[GuestStatus, ...]
    link: LinkStatus | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def gather(manifest: Manifest, *, ask: Callable[[GuestRecord], str] | None = None) -> LabStatus:
    """Look at every process of the lab.

    :param ask: QEMU's own word for a guest's state
    """
    ask = ask or ask_qemu
    launcher = manifest.launcher
    return LabStatus(
        name=manifest.lab,
        state=manifest.state if manifest.is_live() else "stopped",
        created=manifest.created,
        launcher_pid=launcher.pid if launcher else None,
        launcher_runs=launcher.is_alive() if launcher else False,
        guests=tuple(_guest(record, ask) for record in manifest.guests),
        link=_link(manifest.link) if manifest.link else None,
    )


def ask_qemu(record: GuestRecord) -> str:
    """`running`, `paused`, …; `busy` if the monitor does not answer in time."""
    try:
        with Qmp(record.qmp, timeout=ANSWER, who=record.name) as qmp:
            return str(qmp.execute("query-status")["status"])
    except QmpError:
        return "busy"


def _guest(record: GuestRecord, ask: Callable[[GuestRecord], str]) -> GuestStatus:
    alive = record.is_alive()
    state = _state(record, ask) if alive else "ended"
    shown = state in ("ended", "panicked", "guest-panicked")
    ended, debugger = record.exit, debugger_of(record)
    return GuestStatus(
        name=record.name,
        number=record.index + 1,
        state=state,
        pid=record.process.pid if record.process else None,
        uptime=uptime(record.process) if alive and record.process else None,
        ssh_port=record.ssh_port,
        console_port=record.console_port,
        accelerator=record.accelerator,
        ram=record.ram.path,
        ram_size=record.ram.size,
        ram_kept=_is_there(record),
        log=record.log,
        console_log=record.console_log,
        exit_code=ended.code if ended else None,
        ended=ended.time if ended else None,
        how=None if alive else processes.describe_exit(ended.code if ended else None),
        log_tail=processes.tail(Path(record.log), LINES) if shown else (),
        console_tail=processes.tail(Path(record.console_log), LINES) if shown else (),
        debugger=debugger.pid if debugger else None,
    )


def _state(record: GuestRecord, ask: Callable[[GuestRecord], str]) -> str:
    said = ask(record)
    return "panicked" if record.panicked and said in ("running", "busy") else said


def _is_there(record: GuestRecord) -> bool:
    try:
        return Path(record.ram.path).stat().st_ino == record.ram.inode
    except OSError:
        return False


def _link(link: LinkRecord) -> LinkStatus:
    return LinkStatus(
        server_pid=link.server.pid,
        server_runs=link.server.is_alive(),
        shared_page=link.shared_page,
    )


def ago(moment: float, now: float | None = None) -> str:
    """How long ago, in words."""
    return f"{duration((time.time() if now is None else now) - moment)} ago"


def duration(seconds: float) -> str:
    """``42 s``, ``3 min``, ``2 h 05 min``, ``3 d 4 h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
