# SPDX-License-Identifier: MIT
"""The tasks of a kernel: its list of processes, and what each CPU runs (``kernel/sched``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.budget import Budget, SpentError
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.modules.listing import Listing, walk_list
from ntbdbg.kernel.tasks.taskname import TaskNames

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Record
    from ntbdbg.kernel.image.image import KernelImage

STEPS_OF_A_TASK = 80
"""What it takes to read one and to show it, in steps of the budget; Linux lets a guest have no more
than a thread for each 128 KiB of RAM (``set_max_threads``), which is far from the end."""

MOST_TASKS = 1 << 16
MOST_THREADS = 1 << 16

PF_KTHREAD = 0x0020_0000
TASK_IDLE = 0x0402  # TASK_UNINTERRUPTIBLE | TASK_NOLOAD
TASK_RTLOCK_WAIT = 0x1000
TASK_FROZEN = 0x8000
UNINTERRUPTIBLE = 2
TASK_REPORT = 0x7F
TASK_REPORT_IDLE = 0x80

STATE_LETTERS = "RSDTtXZPI"
"""By the highest state bit: running, sleeping, disk sleep, stopped, traced, dead, zombie,
parked, idle; ``task_state_array`` of fs/proc/array.c."""


@dataclass(frozen=True)
class Task:
    """A process, or one thread of it.

    :ivar tgid: of its process; the same as `pid` for the thread that the others belong to
    :ivar ppid: process that waits for it, 0 for none
    :ivar state: letter as in ps(1)
    :ivar cpu: where it runs, or ran last
    :ivar running: whether it is what that CPU runs just now
    :ivar is_kernel: a thread of the kernel
    :ivar threads: of its process
    :ivar address: VA of its ``struct task_struct``
    """

    pid: int
    tgid: int
    ppid: int
    name: str
    state: str
    cpu: int
    running: bool
    is_kernel: bool
    threads: int
    address: int


@dataclass(frozen=True)
class CpuTask:
    """What a CPU runs; pid 0 is its idle task."""

    cpu: int
    pid: int
    name: str
    address: int


class TaskWalker:
    """Finds the tasks of one kernel, as of now.

    :raises KernelError: its types lack what is needed
    """

    def __init__(self, kernel: KernelImage) -> None:
        self.kernel = kernel
        self.layout = kernel.layouts["task_struct"]
        self._names = TaskNames(kernel)
        self._parents: dict[int, int] = {}

    def walk(self, *, threads: bool = False) -> Listing[Task]:
        """Every process by pid, or every thread; `partial` says if some may lack."""
        budget = self.kernel.budget
        running = {current.address for current in self.cpus()}
        found: Listing[Task] = Listing()
        try:
            for address in self._addresses(threads, budget, found):
                budget.take(items=1)
                budget.step(STEPS_OF_A_TASK)
                self._take(address, running, found)
        except SpentError as error:
            found.partial = error.message
        found.sort(key=lambda task: (task.tgid, task.pid))
        return found

    def cpus(self) -> list[CpuTask]:
        """What each CPU runs, as far as its run queue can be read."""
        try:
            queues = self.kernel.symbol("runqueues").address
            offset = self.kernel.layouts["rq"].find("curr").offset
            numbers = self.kernel.online_cpus()
        except (FaultError, KernelError):
            return []
        found = []
        for cpu in numbers:
            try:
                place = self.kernel.percpu(queues, cpu) + offset
                address = self.kernel.virtual.word(place)
                task = self.layout.parse(self.kernel.virtual, address)
            except (FaultError, KernelError):
                continue
            found.append(CpuTask(cpu, task.number("pid"), self._names.of(task), address))
        return found

    def _addresses(self, threads: bool, budget: Budget, found: Listing[Task]) -> Iterator[int]:
        """VA of each task, once, however many lists of a damaged guest it is on."""
        offset = self.layout.find("tasks").offset
        init = self.kernel.symbol("init_task").address
        leaders = walk_list(self.kernel.virtual, init + offset, MOST_TASKS, budget)
        found.partial = leaders.partial
        seen: set[int] = set()
        for node in leaders:
            own = self._threads(node - offset, budget, found) if threads else [node - offset]
            for address in own:
                if address in seen:
                    found.partial = found.partial or f"two processes have the task at {address:#x}"
                    continue
                seen.add(address)
                yield address

    def _take(self, address: int, running: set[int], found: Listing[Task]) -> None:
        try:
            record = self.layout.parse(self.kernel.virtual, address)
            found.append(self._task(record, address in running))
        except FaultError as error:
            reason = f"the task at {address:#x} cannot be read: {error.message}"
            found.partial = found.partial or reason

    def _task(self, record: Record, running: bool) -> Task:
        return Task(
            pid=record.number("pid"),
            tgid=record.number("tgid"),
            ppid=self._parent(record.number("real_parent")),
            name=self._names.of(record),
            state=state_letter(record),
            cpu=cpu_of(record),
            running=running,
            is_kernel=bool(record.number("flags") & PF_KTHREAD),
            threads=self._thread_count(record),
            address=record.address,
        )

    def _parent(self, address: int) -> int:
        if address not in self._parents:
            try:
                self._parents[address] = self.layout.read_number(
                    self.kernel.virtual, address, "tgid"
                )
            except FaultError:
                self._parents[address] = 0
        return self._parents[address]

    def _thread_count(self, record: Record) -> int:
        signal = self.kernel.layouts["signal_struct"]
        try:
            return signal.read_number(self.kernel.virtual, record.number("signal"), "nr_threads")
        except FaultError:  # a task that is on its way out has none any more
            return 1

    def _threads(self, leader: int, budget: Budget, found: Listing[Task]) -> Iterator[int]:
        """Addresses of all threads of a process."""
        virtual, signal = self.kernel.virtual, self.layout.find("signal").offset
        try:
            head = virtual.word(leader + signal)
        except FaultError:
            yield leader
            return
        head += self.kernel.layouts["signal_struct"].find("thread_head").offset
        nodes = walk_list(virtual, head, MOST_THREADS, budget)
        found.partial = found.partial or nodes.partial
        offset = self.layout.find("thread_node").offset
        threads = [node - offset for node in nodes]
        yield from threads if leader in threads else [leader, *threads]


def state_letter(record: Record) -> str:
    """As ``task_state_to_char`` has it (include/linux/sched.h)."""
    # 5.14, 2f064a59a11f ("sched: Change task_struct::state")
    state = record.number("__state" if record.has("__state") else "state")
    report = (state | record.number("exit_state")) & TASK_REPORT
    if state & TASK_IDLE == TASK_IDLE:
        report = TASK_REPORT_IDLE
    if state & (TASK_RTLOCK_WAIT | TASK_FROZEN):
        report = UNINTERRUPTIBLE
    return STATE_LETTERS[report.bit_length()]


def cpu_of(record: Record) -> int:
    """Number of the CPU; 5.16, bcf9033e5449 ("sched: move CPU field back into thread_info")."""
    for path in ("thread_info.cpu", "cpu"):
        if record.has(path):
            return record.number(path)
    return 0  # built without CONFIG_SMP
