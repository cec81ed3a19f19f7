# SPDX-License-Identifier: MIT
"""Backtraces of a guest's CPUs and tasks, from its RAM and from what is known of its registers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.budget import SpentError
from ntbdbg.errors import FaultError, KernelError, TargetError
from ntbdbg.kernel.stacks.backtrace import Backtrace
from ntbdbg.kernel.tasks.tasks import CpuTask, Task, TaskWalker
from ntbdbg.lab.vcpus import Vcpus, vcpus_of
from ntbdbg.units import format_numbers

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.guest import Guest


OFFLINE = "offline"
"""State of a CPU that the kernel does not run on."""


@dataclass(frozen=True)
class Stack:
    """One backtrace and whose it is.

    :ivar cpu: number of the CPU that is or was executing it
    :ivar pid: 0 for an idle task, None if the CPU's task is not known
    :ivar state: of the task, as in ps(1); empty for an idle one, or `OFFLINE`
    :ivar running: whether it is on its CPU just now
    """

    cpu: int
    pid: int | None
    name: str
    state: str
    running: bool
    trace: Backtrace

    @property
    def is_offline(self) -> bool:
        """Whether the kernel never started that CPU, or stopped it."""
        return self.state == OFFLINE

    @property
    def is_idle(self) -> bool:
        """Whether that CPU has nothing to do, and all is known of it."""
        return self.running and self.pid == 0 and not (self.trace.problem or self.trace.notes)

    @property
    def title(self) -> str:
        """``CPU 1: pid 0 swapper/1``, ``pid 217 insmod``, ``CPU 7``."""
        if self.is_offline:
            return f"CPU {self.cpu}"
        task = f"pid {self.pid} {self.name}" if self.pid is not None else "unknown task"
        return f"CPU {self.cpu}: {task}" if self.running else task


class Backtraces:
    """The stacks of `guest`, as of now.

    :ivar vcpus: the processors' registers, and why there are none
    :ivar partial: why tasks may be missing, None if none is
    :raises KernelError: its kernel is not understood, or has no ORC tables
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.vcpus: Vcpus = vcpus_of(guest)
        self._registers = {record.index: record.registers for record in self.vcpus.records}
        self._walker = TaskWalker(guest.kernel)
        self._tracer = guest.kernel.backtracer()
        self._current = {current.cpu: current for current in self._walker.cpus()}
        self._online = _online(guest.kernel)
        self.partial: str | None = None

    def cpus(self) -> list[Stack]:
        """What every CPU executes."""
        numbers = sorted({*self._registers, *self._current})
        return [self.cpu(number) for number in numbers]

    def cpu(self, number: int) -> Stack:
        """What CPU `number` executes; raises TargetError if there is no such CPU."""
        current = self._current.get(number)
        if current is None and number not in self._registers:
            known = format_numbers(self._current)
            raise TargetError(f"{self._guest.name} has no CPU {number}", hint=f"it has {known}")
        if self._online and number not in self._online:
            return Stack(number, None, "", OFFLINE, True, Backtrace((), "", ""))
        return self._on_cpu(number, current, "")

    def tasks(
        self, chosen: Callable[[Task], bool] = lambda task: True, *, threads: bool = True
    ) -> Iterator[Stack]:
        """What tasks do, by pid: where they gave up their CPU, or what it executes now."""
        found = self._walker.walk(threads=threads)
        self.partial = found.partial
        for task in filter(chosen, found):
            try:
                stack = self._of_task(task)
            except SpentError as error:
                self.partial = error.message
                return
            yield stack

    def _of_task(self, task: Task) -> Stack:
        if task.running:
            current = CpuTask(task.cpu, task.pid, task.name, task.address)
            return self._on_cpu(task.cpu, current, task.state)
        trace = self._tracer.of_task(task.address)
        return Stack(task.cpu, task.pid, task.name, task.state, False, trace)

    def task(self, pid: int) -> Stack:
        """What the task or thread `pid` does; raises TargetError if there is none."""
        found = next(self.tasks(lambda task: task.pid == pid), None)
        if found is None:
            raise TargetError(
                f"{self._guest.name} has no task {pid}",
                hint=f"'ntbdbg ps {self._guest.name} --threads' shows them",
            )
        return found

    def named(self, name: str) -> list[Stack]:
        """What tasks called `name` do; raises TargetError if there is none.

        Of a worker of the kernel the name without what it works on will do.
        """
        found = list(self.tasks(lambda task: name in (task.name, *re.split("[-+]", task.name)[:1])))
        if not found:
            raise TargetError(
                f"{self._guest.name} has no task called {name!r:.60}",
                hint=f"'ntbdbg ps {self._guest.name} --threads' shows them",
            )
        return found

    def _on_cpu(self, number: int, current: CpuTask | None, state: str) -> Stack:
        registers = self._registers.get(number)
        if registers is None:
            why = self.vcpus.why or "nothing is known of this CPU"
            trace = Backtrace((), "", f"it runs, and its registers are not known: {why}")
        else:
            trace = self._tracer.of_cpu(registers)
        pid, name = (current.pid, current.name) if current else (None, "")
        return Stack(number, pid, name, state, True, trace)


def _online(kernel: Kernel) -> frozenset[int]:
    """The CPUs that the kernel runs on; none if nobody knows."""
    try:
        return frozenset(kernel.online_cpus())
    except (FaultError, KernelError):
        return frozenset()
