# SPDX-License-Identifier: MIT
"""ntbdbg cpu: registers and what they mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ntbdbg.arch.x86.notes import build_own
from tests.ntbdbg.conftest import Run
from tests.support.elfwriter import Load, elf_core, note, prstatus
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.faketasks import FakeTasks


class Dump:
    """A core in which pid 8 runs in the kernel on CPU 0, and CPU 1 executes a program."""

    def __init__(self, folder: Path, *, linux: bool = True) -> None:
        guest = self.guest = FakeGuest()
        tasks = FakeTasks(guest)
        busy = guest.function("busy_loop", 64)
        tasks.run(0, tasks.add(8, "runner", state=0))
        data = guest.memory.read(0, len(guest.space.data))
        root = guest.physical(guest.symbols["swapper_pg_dir"])
        kernel = {"rip": busy + 5, "rsp": 0x1000, "rax": busy, "rflags": 0x46, "cs": 0x10}
        kernel |= {"cr0": 0x80050033, "cr2": 0xDEAD, "cr3": root, "cr4": 1 << 5}
        user = {"rip": busy, "rflags": 0x202, "cs": 0x33, "cr0": 0x80050033, "cr3": root + 0x5000}
        notes = b""
        for registers in (kernel, user):
            notes += note(b"CORE", 1, prstatus(registers["rip"], registers.get("rsp", 0)))
            notes += note(b"QEMU", 0, build_own(registers | {"idt_base": 0}) or b"")
        self.path = folder / "guest.core"
        self.path.write_bytes(elf_core([Load(0, data if linux else bytes(1 << 20))], notes))


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dump:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return Dump(tmp_path)


def test_registers_with_their_meanings(ntbdbg: Run, dump: Dump) -> None:
    done = ntbdbg("cpu", dump.path, "0")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    busy, root = dump.guest.symbols["busy_loop"], dump.guest.space.translate
    assert lines[0] == "CPU 0: pid 8 runner, 64-bit kernel, interrupts off"
    assert lines[1] == f"  rip     {busy + 5:016x}  busy_loop+0x5"
    assert "       rax is busy_loop" in lines
    assert "  rflags  0000000000000046  PF ZF" in lines
    assert "  cr0     0000000080050033  PE MP ET NE WP AM PG" in lines
    assert "  cr2     000000000000dead  address of the last page fault" in lines
    gpa = root(dump.guest.symbols["swapper_pg_dir"])[0]
    assert f"  cr3     {gpa:016x}  page tables at {gpa:#x}, the kernel's own" in lines
    assert "  cr4     0000000000000020  PAE" in lines


def test_all_of_them(ntbdbg: Run, dump: Dump) -> None:
    done = ntbdbg("cpu", dump.path)
    heads = [line for line in done.stdout.splitlines() if line.startswith("CPU ")]
    assert heads == [
        "CPU 0: pid 8 runner, 64-bit kernel, interrupts off",
        "CPU 1: pid 0 swapper/1, 64-bit user, interrupts on",
    ]
    assert done.stdout.count("busy_loop+0x5") == 1, "a program's address is none of the kernel's"


def test_json(ntbdbg: Run, dump: Dump) -> None:
    found = json.loads(ntbdbg("cpu", dump.path, "cpu:0", "--json").stdout)
    (cpu,) = found["cpus"]
    assert (found["kind"], found["torn"], found["problem"]) == ("cpu", False, None)
    assert (cpu["cpu"], cpu["mode"], cpu["ring"]) == (0, "64-bit kernel", 0)
    assert (cpu["interrupts"], cpu["halted"]) == (False, None)
    assert cpu["task"]["pid"] == 8
    assert cpu["registers"]["rip"] == dump.guest.symbols["busy_loop"] + 5
    assert cpu["bits"]["rflags"] == ["PF", "ZF"]
    assert cpu["symbols"] == {"rip": "busy_loop+0x5", "rax": "busy_loop"}
    assert cpu["page_tables"] == "the kernel's own"


def test_of_a_running_guest_by_qemu(lab: FakeLab, ntbdbg: Run) -> None:
    done = ntbdbg("cpu", "qemu1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CPU 0: unknown task, 64-bit kernel, interrupts on, halted\n")
    assert "  gs_base        ffff9a7f7ec00000" in done.stdout
    assert "note: without symbols and tasks: " in done.stderr
    assert "human-monitor-command" in lab.qmp["qemu1"].log
    frozen = json.loads(ntbdbg("cpu", "qemu1", "--freeze", "--json").stdout)
    assert frozen["torn"] is False


def test_without_a_kernel_registers_are_shown_all_the_same(ntbdbg: Run, tmp_path: Path) -> None:
    made = Dump(tmp_path, linux=False)
    done = ntbdbg("cpu", made.path, "1")
    assert done.returncode == 0
    assert done.stdout.startswith("CPU 1: unknown task, 64-bit user, interrupts on\n")
    assert "without symbols and tasks: " in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["7"], 3, "has no CPU 7; it has 0, 1"),
        (["x"], 2, "CPU 'x' is not a number"),
        (["0", "1"], 2, "unexpected extra argument"),
    ],
)
def test_wrong_requests(ntbdbg: Run, dump: Dump, words: list[str], code: int, why: str) -> None:
    done = ntbdbg("cpu", dump.path, *words)
    assert done.returncode == code
    assert why in done.stderr


def test_without_registers_it_says_why(ntbdbg: Run, dump: Dump, tmp_path: Path) -> None:
    dump.guest.save(tmp_path / "bare.ram")
    done = ntbdbg("cpu", tmp_path / "bare.ram")
    assert done.returncode == 3
    assert "the registers of its processors are not known: a bare RAM file" in done.stderr
