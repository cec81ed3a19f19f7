# SPDX-License-Identifier: MIT
"""One guest's QEMU: started, talked to, watched, and ended softly or hard."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ntbdbg.errors import QmpError
from ntbdbg.lab.manifest import ExitRecord, ProcessRef, SegmentRecord
from ntbdbg.lab.qmp import Qmp
from ntbdbg.lab.sources.flatmap import from_mtree, machine_kind
from run.base import processes
from run.base.deadline import Deadline
from run.base.errors import RunError
from run.vm import memmap
from run.vm.argv import RAM_ID
from run.vm.plan import GuestPlan

#: lines of QEMU's output that are kept of one that ended
TAIL_LINES = 10


class LaunchError(RunError):
    """A process of the lab ended, or did not get ready, while it was being started.

    :param exit_code: of that process, None if it still ran
    """

    def __init__(
        self,
        who: str,
        why: str,
        *,
        argv: Sequence[str],
        log: Path,
        process_exit: int | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self.process_exit = process_exit
        self.log_tail = processes.tail(log, TAIL_LINES)
        said = "".join(f"\n    {line}" for line in self.log_tail)
        super().__init__(
            f"{who} {why}" + (f"; it said{said}\n " if said else ""),
            hint=f"its log is {log}; --dry-run shows its command line",
        )


class Machine:
    """A guest's QEMU process and the launcher's own conversation with it.

    :param sleep: waits between two looks; may raise to end the wait
    """

    def __init__(
        self,
        plan: GuestPlan,
        argv: Sequence[str],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.plan = plan
        self.argv = tuple(argv)
        self.panicked: float | None = None
        self.exit: ExitRecord | None = None
        self._sleep = sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._ref: ProcessRef | None = None

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def log(self) -> Path:
        return self.plan.paths.log(self.name)

    @property
    def process(self) -> ProcessRef | None:
        """QEMU's process, dead or alive; None before `start`."""
        return self._ref

    @property
    def runs(self) -> bool:
        return self._process is not None and self.exit is None

    def start(self, ram: int) -> None:
        """Start QEMU; `ram` is the descriptor that holds its RAM file.

        :raises LaunchError: the program cannot be run
        """
        folder = self.plan.paths.folder
        try:
            self._process = processes.start(self.argv, self.log, folder=folder, inherit=[ram])
        except OSError as error:
            raise self._failed(f"cannot be run: {self.argv[0]}: {error.strerror}") from error
        with suppress(ProcessLookupError):
            self._ref = ProcessRef.of(self._process.pid)

    def connect(self, deadline: Deadline) -> None:
        """Wait for QEMU's monitor and keep it; raises LaunchError."""
        socket = self.plan.paths.qmp_launcher(self.name)
        deadline.poll(lambda: socket.exists() or not self.poll())
        qmp = Qmp(socket, timeout=max(1.0, deadline.remaining), who=self.name)
        try:
            self._qmp = qmp.__enter__()
        except QmpError as error:
            deadline_of_death = Deadline(1.0, sleep=self._sleep)
            deadline_of_death.poll(lambda: not self.poll())
            raise self._failed(f"did not start: {error.message}") from error

    def poll(self) -> bool:
        """Whether QEMU runs; notes how it ended when it has."""
        if self._process is None or self.exit is not None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self.disconnect()
        self.exit = ExitRecord(
            code=code, time=time.time(), log_tail=processes.tail(self.log, TAIL_LINES)
        )
        return False

    def describe_exit(self) -> str:
        """How it ended, as a clause."""
        return processes.describe_exit(self.exit.code if self.exit else None)

    def note_events(self) -> bool:
        """Take in what QEMU reported; True if that changed whether the guest has panicked."""
        before = self.panicked
        if self._qmp is None:
            return False
        try:
            events = [event["event"] for event in self._qmp.pending_events()]
        except QmpError:
            self.disconnect()
            return False
        for event in events:
            if event == "GUEST_PANICKED":
                self.panicked = time.time()
            elif event == "RESET":
                self.panicked = None
        return self.panicked != before

    def segments(self, machine: str, size: int) -> tuple[SegmentRecord, ...]:
        """Where its RAM lies: what QEMU shows, else what the machine's rule says."""
        assert self._qmp is not None
        try:
            shown = from_mtree(self._qmp.human("info mtree -f"), RAM_ID)
        except QmpError:
            shown = ()
        return shown or memmap.rule(machine, size)

    def machine_kind(self) -> str:
        """``q35`` or ``pc``; raises LaunchError for a machine whose memory map is not known."""
        assert self._qmp is not None
        try:
            name = self._qmp.execute("qom-get", path="/machine", property="type")
        except QmpError as error:
            raise self._failed(f"did not start: {error.message}") from error
        kind = machine_kind(str(name))
        if kind is None:
            raise self._failed(f"is a {name}, whose memory map is not known: use -machine q35")
        return kind

    def disconnect(self) -> None:
        """End the conversation; others may then use the launcher's socket."""
        qmp, self._qmp = self._qmp, None
        if qmp is not None:
            qmp.__exit__(None, None, None)

    def _failed(self, why: str) -> LaunchError:
        self.poll()
        code = self.exit.code if self.exit else None
        if code is not None:
            why = processes.describe_exit(code) + " while it was being started"
        return LaunchError(self.name, why, argv=self.argv, log=self.log, process_exit=code)


def uptime(process: ProcessRef) -> float:
    """Seconds since a process started."""
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    return max(0.0, since_boot - process.start_time / os.sysconf("SC_CLK_TCK"))
