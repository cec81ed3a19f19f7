# SPDX-License-Identifier: MIT
"""Tasks in a fake guest: the process list, threads, what each CPU runs.

tasks = FakeTasks(guest)
shell = tasks.add(150, "bash", parent=tasks.add(1, "init"))
tasks.kernel_thread(11, "kworker/0:1", work="events")
tasks.run(0, shell)
shell["tasks.next"] = shell.at("tasks")        # hostile: a list that never ends
"""

from __future__ import annotations

from tests.support.fakekernel import FakeGuest, FakeStruct

TYPES = """
struct hlist_node { struct hlist_node *next, **pprev; };
struct thread_info { unsigned long flags; unsigned long syscall_work; u32 status; u32 cpu; };
struct signal_struct { refcount_t sigcnt; int nr_threads; struct list_head thread_head; };
struct kthread { unsigned long flags; unsigned int cpu; void *data; char *full_name; };
struct worker { void *current_work; void *pool; char desc[24]; };
struct thread_struct { unsigned long sp; };
struct task_struct {
    struct thread_info thread_info; unsigned int %(state)s; void *stack; unsigned int flags;
    int on_cpu; int prio; struct list_head tasks; void *mm; int exit_state; pid_t pid; pid_t tgid;
    struct task_struct *real_parent, *parent; struct task_struct *group_leader;
    struct list_head thread_node; void *worker_private; char comm[16];
    struct signal_struct *signal; struct thread_struct thread;
};
struct rq { int nr_running; struct task_struct *curr, *idle; };
"""
SLEEPING, DISK, DEAD, ZOMBIE, IDLE = 1, 2, 0x10, 0x20, 0x402
PF_WQ_WORKER, PF_KTHREAD = 0x20, 0x20_0000


class FakeTasks:
    """The tasks of `guest`; CPUs run their idle tasks at first.

    :param state: name of the member that holds a task's state: `state` before Linux 5.14
    """

    def __init__(self, guest: FakeGuest, *, state: str = "__state") -> None:
        self.guest, self.state = guest, state
        guest.types.declare(TYPES % {"state": state})
        self.init = guest.variable("init_task", "struct task_struct", comm=b"swapper/0")
        self.init.set(real_parent=self.init, parent=self.init, group_leader=self.init)
        self.init.empty_list("tasks")
        self._signal(self.init)
        self.idle = [self.init, *(self._task(0, f"swapper/{n}") for n in range(1, guest.cpus))]
        for cpu, task in enumerate(self.idle):
            task["thread_info.cpu"] = cpu
            task["flags"] = PF_KTHREAD
        guest.percpu("runqueues", "struct rq")
        for cpu, task in enumerate(self.idle):
            self.queue(cpu).set(curr=task, idle=task)

    def add(
        self,
        pid: int,
        comm: str,
        *,
        parent: FakeStruct | None = None,
        state: int = SLEEPING,
        exit_state: int = 0,
        cpu: int = 0,
        flags: int = 0,
    ) -> FakeStruct:
        """A process at the end of the list."""
        task = self._task(pid, comm)
        above = parent or self.init
        task.set(real_parent=above, parent=above, exit_state=exit_state, flags=flags)
        task[self.state] = state
        task["thread_info.cpu"] = cpu
        self.init.append("tasks", task, "tasks")
        return task

    def kernel_thread(
        self,
        pid: int,
        comm: str,
        *,
        full_name: str = "",
        work: str | None = None,
        busy: bool = False,
        state: int = IDLE,
    ) -> FakeStruct:
        """A thread of the kernel; a worker of a work queue if it has `work`, the last it did."""
        flags = PF_KTHREAD | (0 if work is None else PF_WQ_WORKER)
        task = self.add(pid, comm, state=state, flags=flags)
        kthread = self.guest.new("struct kthread")
        task["worker_private"] = kthread
        if full_name:
            kthread["full_name"] = self.guest.text(full_name)
        if work is not None:
            kthread["data"] = worker = self.guest.new("struct worker", desc=work.encode())
            worker.set(pool=kthread, current_work=kthread if busy else 0)
        return task

    def thread(self, leader: FakeStruct, pid: int, comm: str) -> FakeStruct:
        """One more thread of a process."""
        task = self._task(pid, comm, signal=leader["signal"])
        task.set(tgid=leader["tgid"], group_leader=leader, real_parent=leader["real_parent"])
        task[self.state] = SLEEPING
        signal = self.guest.at(leader["signal"], "struct signal_struct")
        signal["nr_threads"] = signal["nr_threads"] + 1
        return task

    def run(self, cpu: int, task: FakeStruct) -> None:
        """Have a CPU run that task, once the guest is complete or before."""
        task.set(on_cpu=1)
        task["thread_info.cpu"] = cpu
        self.queue(cpu)["curr"] = task

    def queue(self, cpu: int) -> FakeStruct:
        """The run queue of a CPU."""
        place = self.guest.percpu_areas[cpu] + self.guest.symbols["runqueues"]
        return self.guest.at(place, "struct rq")

    def _task(self, pid: int, comm: str, signal: int | None = None) -> FakeStruct:
        task = self.guest.new("struct task_struct", pid=pid, tgid=pid, comm=comm.encode()[:15])
        task.set(group_leader=task, real_parent=self.init, parent=self.init)
        task.empty_list("tasks")
        if signal is None:
            self._signal(task)
        else:
            task["signal"] = signal
            head = self.guest.at(signal, "struct signal_struct")
            head.append("thread_head", task, "thread_node")
        return task

    def _signal(self, task: FakeStruct) -> None:
        signal = self.guest.new("struct signal_struct", nr_threads=1)
        task["signal"] = signal
        signal.empty_list("thread_head")
        signal.append("thread_head", task, "thread_node")
