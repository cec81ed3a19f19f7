# SPDX-License-Identifier: MIT
"""Tasks, by a fake process list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.budget import Budget
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.modules.listing import Listing
from ntbdbg.kernel.tasks.tasks import STEPS_OF_A_TASK, Task, TaskWalker
from tests.support.fakekernel import FakeGuest
from tests.support.faketasks import DISK, IDLE, SLEEPING, ZOMBIE, FakeTasks


def listed(guest: FakeGuest, *, threads: bool = False) -> Listing[Task]:
    return TaskWalker(Kernel.open(guest.memory)).walk(threads=threads)


@pytest.mark.parametrize("state", ["__state", "state"])
def test_a_process_says_what_ps_shows(state: str) -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest, state=state)
    init = tasks.add(1, "init", state=0, cpu=1)
    tasks.run(1, init)
    shell = tasks.add(150, "bash", parent=init, state=DISK)
    found = listed(guest)
    assert found.partial is None
    assert found == [
        Task(1, 1, 0, "init", "R", 1, True, False, 1, init.address),
        Task(150, 150, 1, "bash", "D", 0, False, False, 1, shell.address),
    ]


def test_they_are_sorted_by_pid() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    for pid in (5, 1, 300, 20):
        tasks.add(pid, "x")
    assert [task.pid for task in listed(guest)] == [1, 5, 20, 300]


@pytest.mark.parametrize(
    ("state", "exit_state", "letter"),
    [
        (0, 0, "R"),
        (SLEEPING, 0, "S"),
        (DISK, 0, "D"),
        (4, 0, "T"),
        (8, 0, "t"),
        (0x80, 0x10, "X"),
        (0x80, ZOMBIE, "Z"),
        (0x40, 0, "P"),
        (IDLE, 0, "I"),
        (DISK | 0x100, 0, "D"),  # killable
        (SLEEPING | 0x2000, 0, "S"),  # freezable
        (0x8000, 0, "D"),  # frozen
        (0x1000, 0, "D"),  # waits for an RT lock
    ],
)
def test_state_letters(state: int, exit_state: int, letter: str) -> None:
    guest = FakeGuest()
    FakeTasks(guest).add(1, "x", state=state, exit_state=exit_state)
    assert [task.state for task in listed(guest)] == [letter]


def test_names_of_kernel_threads_are_those_of_proc() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    tasks.kernel_thread(2, "kthreadd", state=SLEEPING)
    tasks.kernel_thread(3, "rcu_tasks_kthre", full_name="rcu_tasks_kthread")
    tasks.kernel_thread(4, "kworker/0:1", work="events")
    tasks.kernel_thread(5, "kworker/u4:0", work="events_unbound", busy=True)
    tasks.kernel_thread(6, "kworker/1:0", work="")
    lost = tasks.kernel_thread(7, "kworker/1:1", work="mm_percpu_wq")
    lost["worker_private"] = 0xDEAD_0000
    found = listed(guest)
    assert [task.name for task in found] == [
        "kthreadd",
        "rcu_tasks_kthread",
        "kworker/0:1-events",
        "kworker/u4:0+events_unbound",
        "kworker/1:0",
        "kworker/1:1",
    ]
    assert all(task.is_kernel for task in found)


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("6.1.0-56-amd64", "kworker/R-mm_pe"),
        ("6.10.9", "kworker/R-mm_pe"),
        ("6.12.63", "kworker/R-mm_percpu_wq"),
        ("7.3.0-rc1", "kworker/R-mm_percpu_wq"),
    ],
)
def test_a_rescuer_has_the_name_that_proc_gives_it(release: str, name: str) -> None:
    guest = FakeGuest(release=release)
    tasks = FakeTasks(guest)
    rescuer = "kworker/R-mm_percpu_wq"
    tasks.kernel_thread(13, rescuer, full_name=rescuer, work="")
    assert [task.name for task in listed(guest)] == [name]


def test_threads_are_listed_when_asked_for() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    server = tasks.add(10, "server")
    tasks.add(30, "client")
    for pid in (11, 40):
        tasks.thread(server, pid, f"worker-{pid}")
    assert [(task.pid, task.threads) for task in listed(guest)] == [(10, 3), (30, 1)]
    found = listed(guest, threads=True)
    assert [(task.pid, task.tgid, task.name) for task in found] == [
        (10, 10, "server"),
        (11, 10, "worker-11"),
        (40, 10, "worker-40"),
        (30, 30, "client"),
    ]


def test_cpus_say_what_they_run() -> None:
    guest = FakeGuest(cpus=3)
    tasks = FakeTasks(guest)
    tasks.run(1, tasks.add(77, "busy"))
    tasks.queue(2)["curr"] = 0x1234
    cpus = TaskWalker(Kernel.open(guest.memory)).cpus()
    assert [(one.cpu, one.pid, one.name) for one in cpus] == [(0, 0, "swapper/0"), (1, 77, "busy")]


def test_a_kernel_for_one_cpu() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    tasks.add(1, "init")
    guest.types.declare("struct thread_info { unsigned long flags; unsigned long pad[2]; };")
    del guest.symbols["runqueues"]
    assert [(task.pid, task.cpu) for task in listed(guest)] == [(1, 0)]
    assert TaskWalker(Kernel.open(guest.memory)).cpus() == []


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("itself", "goes in a circle"),
        ("second", "goes in a circle"),
        ("nowhere", "is broken"),
        ("user space", "is broken"),
    ],
)
def test_a_list_that_does_not_end(target: str, why: str) -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    all_tasks = [tasks.add(pid, "x") for pid in range(1, 6)]
    last = all_tasks[-1]
    places = {
        "itself": last.at("tasks"),
        "second": all_tasks[1].at("tasks"),
        "nowhere": (1 << 64) - 3,
        "user space": 0x7000_0000_0000,
    }
    last["tasks.next"] = places[target]
    found = listed(guest)
    assert {task.pid for task in found} >= {1, 2, 3, 4, 5}
    assert why in (found.partial or "")


def test_threads_in_a_circle_are_cut_short() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    server = tasks.add(10, "server")
    other = tasks.thread(server, 11, "other")
    other["thread_node.next"] = other.at("thread_node")
    found = listed(guest, threads=True)
    assert [task.pid for task in found] == [10, 11]
    assert "circle" in (found.partial or "")


def test_processes_that_share_one_list_of_threads_show_each_of_them_once() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    server = tasks.add(10, "server")
    for pid in range(11, 31):
        tasks.thread(server, pid, "thread")
    for pid in range(100, 140):
        tasks.add(pid, "liar")["signal"] = server["signal"]
    found = listed(guest, threads=True)
    assert len({task.address for task in found}) == len(found)
    assert [task.pid for task in found if task.tgid == 10] == list(range(10, 31))
    assert len(found) == 21 + 40
    assert "two processes have the task" in (found.partial or "")


def test_what_runs_out_gives_a_part_that_says_so() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    for pid in range(1, 21):
        tasks.add(pid, "x")
    budget = Budget(items=31, steps=1 << 20)
    found = TaskWalker(Kernel.open(guest.memory, budget=budget)).walk()
    assert found.partial == budget.spent
    assert "31 things were found" in (found.partial or "")


def test_tasks_without_end_cost_what_one_command_may_spend() -> None:
    guest = FakeGuest()
    tasks = FakeTasks(guest)
    for pid in range(1, 61):
        tasks.add(pid, "x")
    budget = Budget(steps=40 * STEPS_OF_A_TASK)
    found = TaskWalker(Kernel.open(guest.memory, budget=budget)).walk()
    assert 20 < len(found) < 40
    assert "looks at its memory" in (found.partial or "")


def test_a_kernel_without_types() -> None:
    guest = FakeGuest(btf=False)
    FakeTasks(guest)
    with pytest.raises(KernelError, match="carries no types"):
        listed(guest)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_damage_never_hangs_or_crashes(data: st.DataObject) -> None:
    guest, words = DAMAGED
    memory = guest.copy()
    values = st.one_of(
        st.sampled_from([0, 1 << 63, (1 << 64) - 1]),
        st.sampled_from(words),
        st.integers(0, 1 << 63),
    )
    for _ in range(data.draw(st.integers(1, 8))):
        va = data.draw(st.sampled_from(words))
        memory.write(guest.physical(va), data.draw(values).to_bytes(8, "little"))
    try:
        walker = TaskWalker(Kernel.open(memory))
        found = walker.walk(threads=True)
        walker.cpus()
    except (KernelError, FaultError):
        return
    assert len(found) <= 1000


def _damaged() -> tuple[FakeGuest, list[int]]:
    """A small guest, and the VAs of all words of its tasks."""
    guest = FakeGuest(ram=5 << 20)
    tasks = FakeTasks(guest)
    init = tasks.add(1, "init")
    made = [init, tasks.thread(init, 9, "thread"), tasks.kernel_thread(5, "kworker/0:0", work="x")]
    made += [tasks.queue(0), guest.at(init["signal"], "struct signal_struct"), tasks.init]
    guest.memory  # noqa: B018
    return guest, [va for one in made for va in range(one.address, one.address + one.kind.size, 8)]


DAMAGED = _damaged()
