# SPDX-License-Identifier: MIT
"""QEMU's gdbstub of a guest, on a private socket, for as long as a debugger needs it.

QEMU stops a guest when a debugger connects, and keeps breakpoints of one that is killed. What is
done about both when the stub is closed: breakpoints go, and a guest that ran before goes on.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import QmpError, TargetError
from ntbdbg.lab.freeze import STOPPED
from ntbdbg.lab.gdbmark import held, note_debugger
from ntbdbg.lab.migration import refuse_moving, run_state
from ntbdbg.lab.monitors import monitor, refuse_unknown
from ntbdbg.lab.signals import undisturbed

if TYPE_CHECKING:
    from ntbdbg.lab.manifest import GuestRecord
    from ntbdbg.lab.qmp import Qmp

LONGEST_PATH = 107
"""Bytes that a socket's path may have (unix(7))."""

PATIENCE = 10.0
"""Seconds for QEMU to take back breakpoints."""

_DETACH = b"+$D;1#b0"
"""The packet by which a debugger leaves process 1; QEMU then removes all breakpoints. The number is
needed: QEMU goes on in the mode that gdb, which was killed, had asked for (multiprocess)."""


class Stub:
    """An open one.

    :ivar path: of its socket
    :ivar state: QEMU's run state before
    """

    def __init__(self, path: str, state: str, mark: int) -> None:
        self.path, self.state = path, state
        self._mark = mark
        self.is_left = False

    def used_by(self, pid: int) -> None:
        """The debugger is process `pid`."""
        note_debugger(self._mark, pid)

    def left(self) -> None:
        """The debugger took its leave: its breakpoints are gone."""
        self.is_left = True


@contextlib.contextmanager
def gdbstub(record: GuestRecord, note: Callable[[str], None]) -> Iterator[Stub]:
    """Open the stub of a running guest; closed in the end, whatever happens, short of kill -9.

    :param note: told what went wrong at the end
    :raises TargetError: a debugger holds the guest already; no room for the socket
    :raises QmpError: QEMU does not answer, or refuses
    """
    refuse_unknown(record)
    path = record.qmp + ".stub"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise TargetError(
            f"{path}: {len(os.fsencode(path))} bytes are too long for a socket",
            hint="start the lab with a shorter --name, or in a shorter XDG_RUNTIME_DIR",
        )
    with held(record) as mark:
        with monitor(record) as qmp:
            stub = Stub(path, run_state(qmp), mark)
            refuse_moving(qmp, stub.state)
            _open(qmp, path)
        try:
            yield stub
        finally:
            with undisturbed():
                _close(record, stub, note)


def _open(qmp: Qmp, path: str) -> None:
    device = path.replace(",", ",,")
    told = qmp.human(f"gdbserver unix:{device},server=on,wait=off").strip()
    if not told.startswith("Waiting for gdb connection"):
        raise QmpError(
            f"{qmp.who}: QEMU opens no gdbstub at {path}: {told or 'no reason told'}",
            hint="is the folder writable for QEMU, and was it started without a sandbox?",
        )


def _close(record: GuestRecord, stub: Stub, note: Callable[[str], None]) -> None:
    try:
        if not stub.is_left:
            _take_leave(stub.path)
        with monitor(record) as qmp:
            _restore(qmp, stub)
    except QmpError as error:
        note(f"{error.message}; if it runs, 'ntbdbg resume {record.name}' lets it go on")
    with contextlib.suppress(OSError):
        os.unlink(stub.path)


def _restore(qmp: Qmp, stub: Stub) -> None:
    """Close the stub, and have the guest run or stand still as before."""
    qmp.human("gdbserver none")
    state = run_state(qmp)
    if stub.state == "running" and state in STOPPED:
        qmp.execute("cont")
    elif stub.state in STOPPED and state == "running":
        qmp.execute("stop")


def _take_leave(path: str) -> None:
    """Say for a debugger that was killed that it leaves, so that its breakpoints do, too."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        line.connect(path)
        line.sendall(_DETACH)
        told = b""
        while b"$OK" not in told and (more := line.recv(4096)):
            told += more
