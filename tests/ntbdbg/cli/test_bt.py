# SPDX-License-Identifier: MIT
"""ntbdbg bt: whose stacks, from which registers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.elfwriter import Load, elf_core, note, prstatus
from tests.support.fakekernel import FakeGuest
from tests.support.fakestack import FakeStacks
from tests.support.faketasks import DISK, FakeTasks


class Dump:
    """A core of a guest in which pid 7 waits, pid 8 runs on CPU 0, and CPU 1 is idle."""

    def __init__(self, folder: Path, online: bytes = b"\3") -> None:
        guest = FakeGuest()
        guest.space.write(guest.symbols["__cpu_online_mask"], online)
        tasks, stacks = FakeTasks(guest), FakeStacks(guest)
        schedule, worker = stacks.function("schedule"), stacks.function("wait_for_peer")
        busy, idle = stacks.function("busy_loop"), stacks.function("idle_loop_here")
        end = stacks.function("kthread_end", kind="end")
        stacks.finish()
        waits, runs = tasks.add(7, "waiter", state=DISK), tasks.add(8, "runner", state=0)
        tasks.run(0, runs)
        stacks.block(waits, [schedule + 4, worker + 8, end + 1])
        tops = [stacks.stack([end + 2]), stacks.stack([end + 3])]
        notes = b"".join(
            note(b"CORE", 1, prstatus(rip, top))
            for rip, top in zip((busy + 5, idle), tops, strict=True)
        )
        self.data = guest.memory.read(0, len(guest.space.data))
        self.path = folder / "guest.core"
        self.path.write_bytes(elf_core([Load(0, self.data)], notes))


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dump:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return Dump(tmp_path)


def names(text: str) -> list[str]:
    """The last word of each line but empty ones."""
    return [line.split()[-1] for line in text.splitlines() if line]


def test_cpus_by_default(ntbdbg: Run, dump: Dump) -> None:
    shown = ntbdbg("bt", dump.path)
    assert shown.stdout.startswith("CPU 0: pid 8 runner\n  #0  ffffffff")
    assert names(shown.stdout) == [
        *("runner", "busy_loop+0x5", "kthread_end+0x2"),
        *("swapper/1", "idle_loop_here", "kthread_end+0x3"),
    ]


def test_a_task_that_waits(ntbdbg: Run, dump: Dump) -> None:
    shown = ntbdbg("bt", dump.path, "7").stdout
    assert shown.startswith("pid 7 waiter, D, last on CPU 0\n")
    assert names(shown)[1:] == ["schedule+0x4", "wait_for_peer+0x8", "kthread_end+0x1"]


def test_a_task_that_runs_is_shown_by_its_cpu(ntbdbg: Run, dump: Dump) -> None:
    shown = ntbdbg("bt", dump.path, "8").stdout
    assert shown.startswith("CPU 0: pid 8 runner, R\n")
    assert "busy_loop+0x5" in shown


def test_one_cpu_in_json(ntbdbg: Run, dump: Dump) -> None:
    found = json.loads(ntbdbg("bt", dump.path, "cpu:1", "--json").stdout)
    (stack,) = found["stacks"]
    assert (found["torn"], stack["cpu"], stack["pid"], stack["end"]) == (False, 1, 0, "kernel")
    assert [frame["symbol"] for frame in stack["frames"]] == ["idle_loop_here", "kthread_end+0x3"]
    assert stack["frames"][0]["kind"] == "cpu"


def test_tasks_by_name(ntbdbg: Run, dump: Dump) -> None:
    by_pid = ntbdbg("bt", dump.path, "7").stdout
    assert by_pid.startswith("pid 7 waiter, D")
    assert ntbdbg("bt", dump.path, "waiter").stdout == by_pid
    assert ntbdbg("bt", "7", dump.path).stdout == by_pid


def test_cpus_that_never_started_are_offline(ntbdbg: Run, tmp_path: Path) -> None:
    made = Dump(tmp_path, online=b"\1")
    shown = ntbdbg("bt", made.path).stdout
    assert shown.endswith("\nCPU 1 is offline\n")
    assert ntbdbg("bt", made.path, "cpu1").stdout == "CPU 1, offline\n"
    facts = json.loads(ntbdbg("bt", made.path, "--json").stdout)["stacks"]
    assert [(one["cpu"], one["state"]) for one in facts] == [(0, ""), (1, "offline")]


def test_all_tasks(ntbdbg: Run, dump: Dump) -> None:
    found = json.loads(ntbdbg("bt", dump.path, "--all", "--json").stdout)
    assert [stack["pid"] for stack in found["stacks"]] == [7, 8]
    assert found["partial"] is None


def test_without_registers_it_says_why(ntbdbg: Run, dump: Dump, tmp_path: Path) -> None:
    bare = tmp_path / "bare.ram"
    bare.write_bytes(dump.data)
    shown = ntbdbg("bt", bare)
    assert shown.returncode == 0
    assert shown.stdout.count("its registers are not known: a bare RAM file") == 2
    assert "wait_for_peer" in ntbdbg("bt", bare, "7").stdout


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["99"], 3, "has no task 99"),
        (["cpu:7"], 3, "has no CPU 7; it has 0, 1"),
        (["7", "--all"], 2, "exclude each other"),
        (["x"], 3, "has no task called 'x'; 'ntbdbg ps "),
        (["cpu:x"], 2, "CPU 'x' is not a number"),
    ],
)
def test_wrong_requests(ntbdbg: Run, dump: Dump, words: list[str], code: int, why: str) -> None:
    done = ntbdbg("bt", dump.path, *words)
    assert done.returncode == code
    assert why in done.stderr
