# SPDX-License-Identifier: MIT
"""info TARGET, ps, modules, devices on fake guests."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import RESTART, Furniture, furnish
from tests.support.linuxlab import LinuxLab

FURNITURE: dict[str, Furniture] = {}


def keep(name: str, guest: FakeGuest) -> None:
    FURNITURE[name] = furnish(name, guest)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinuxLab]:
    with LinuxLab(tmp_path_factory.mktemp("linux"), furnish=keep) as fake:
        yield fake


@pytest.fixture
def lab(made: LinuxLab, monkeypatch: pytest.MonkeyPatch) -> LinuxLab:
    made.monkeypatch(monkeypatch)
    return made


def facts(ntbdbg: Run, *words: str) -> Any:
    done = ntbdbg(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lines(ntbdbg: Run, *words: str) -> list[str]:
    done = ntbdbg(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.rstrip() for line in done.stdout.splitlines()]


def test_info_of_a_guest(lab: LinuxLab, ntbdbg: Run) -> None:
    assert lines(ntbdbg, "info", "qemu1") == [
        "qemu1: warning at 3.500 s: WARNING: CPU: 0 PID: 1 at drivers/ntb/x.c:1",
        "",
        "guest         qemu1, calls itself qemu1",
        "kernel        Linux 6.1.0-56-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1",
        f"build id      {'5a' * 20}",
        "loaded at     0x1c000000 above where it was linked, phys_base -0x1ce00000",
        "command line  console=ttyS0 ntbdbg.hostname=qemu1",
        "uptime        2 h 13 min 20.25 s",
        "memory        15.6 MiB, 3.91 MiB free",
        "CPUs          CPU 0 is idle, CPU 1 runs 150 ba\\x1bsh",
        "taints        O (an out-of-tree module was loaded), E (an unsigned module was loaded)",
        "state         no panic, but its log tells of:",
        "              [    3.500000] WARNING: CPU: 0 PID: 1 at drivers/ntb/x.c:1",
    ]


def test_info_of_a_guest_for_a_program(lab: LinuxLab, ntbdbg: Run) -> None:
    found = facts(ntbdbg, "info", "qemu2")
    assert found["kind"] == "info-guest"
    assert (found["uptime_ns"], found["realtime_ns"]) == (
        8000_250_000_000,
        1_795_000_000_250_000_000,
    )
    assert (found["memory_total"], found["memory_free"]) == (4000 * 4096, 1000 * 4096)
    assert (found["panic_cpu"], found["oops_in_progress"]) == (None, False)
    assert found["cpus"][1] == {"cpu": 1, "pid": 150, "name": "ba\x1bsh"} | {
        "address": found["cpus"][1]["address"]
    }
    assert [one["kind"] for one in found["trouble"]] == ["warning"]
    assert found["notes"] == []


def test_a_panic_shows(lab: LinuxLab, ntbdbg: Run) -> None:
    guest = lab.linux["qemu2"]
    saved = bytes(guest.space.data)
    guest.space.write(guest.symbols["panic_cpu"], (1).to_bytes(4, "little"))
    FURNITURE["qemu2"].log.add("Kernel panic - not syncing: out of coffee", at=9, level=0)
    guest.save(lab.ram_path("qemu2"))
    try:
        shown = lines(ntbdbg, "info", "qemu2")
    finally:
        guest.space.data[:] = saved
        guest.save(lab.ram_path("qemu2"))
    assert "state         panicked on CPU 1" in shown
    assert shown[-1].endswith("Kernel panic - not syncing: out of coffee")


def test_a_kernel_that_has_restarted_the_machine(lab: LinuxLab, ntbdbg: Run) -> None:
    guest = lab.linux["qemu2"]
    saved = bytes(guest.space.data)
    guest.space.write(guest.symbols["system_state"], RESTART.to_bytes(4, "little"))
    guest.save(lab.ram_path("qemu2"))
    try:
        shown, found = lines(ntbdbg, "info", "qemu2"), facts(ntbdbg, "info", "qemu2")
    finally:
        guest.space.data[:] = saved
        guest.save(lab.ram_path("qemu2"))
    assert "state         it has restarted the machine, or handed it over by kexec" in shown
    assert (found["system_state"], found["in_use"]) == ("restart", True)


def test_a_kernel_that_no_processor_uses(lab: LinuxLab, ntbdbg: Run) -> None:
    qmp = lab.qmp["qemu2"]
    saved, qmp.registers = qmp.registers, re.sub("CR3=[0-9a-f]+", "CR3=0" + "0" * 15, qmp.registers)
    try:
        shown, found = lines(ntbdbg, "info", "qemu2"), facts(ntbdbg, "info", "qemu2")
    finally:
        qmp.registers = saved
    assert [line for line in shown if "no processor uses its page tables" in line]
    assert (found["system_state"], found["in_use"]) == ("running", False)


def test_what_is_not_known_is_told(lab: LinuxLab, ntbdbg: Run) -> None:
    FakeGuest(btf=False).save(lab.ram_path("qemu2"))
    try:
        done = ntbdbg("info", "qemu2")
        assert done.returncode == 0
        assert "uptime        unknown" in done.stdout
        assert "note: qemu2: uptime: Linux 6.1.0-56-amd64 carries no types" in done.stderr
        assert ntbdbg("ps", "qemu2").returncode == 5
    finally:
        lab.linux["qemu2"].save(lab.ram_path("qemu2"))


def test_a_kernel_without_types(lab: LinuxLab, ntbdbg: Run) -> None:
    """What wants them says so, with the way out; what does not goes on."""
    guest = FakeGuest(btf=False)
    furnish("qemu2", guest)
    guest.save(lab.ram_path("qemu2"))
    needing = [[name, "qemu2"] for name in ("ps", "modules", "devices", "bt")]
    needing.append(["decode", "qemu2", "struct task_struct", "init_task"])
    try:
        for words in needing:
            done = ntbdbg(*words)
            assert (done.returncode, done.stdout) == (5, ""), words
            assert "Linux 6.1.0-56-amd64 carries no types" in done.stderr
            assert "--symbols FILE" in done.stderr
        assert "Linux version" in ntbdbg("dmesg", "qemu2").stdout
        for words in (["sym", "qemu2", "init_uts_ns"], ["translate", "qemu2", "init_uts_ns"]):
            assert "init_uts_ns" in ntbdbg(*words).stdout
        assert "Linux..." in ntbdbg("dump", "qemu2", "init_uts_ns", "16").stdout
    finally:
        lab.linux["qemu2"].save(lab.ram_path("qemu2"))


def test_ps(lab: LinuxLab, ntbdbg: Run) -> None:
    assert lines(ntbdbg, "ps", "qemu1") == [
        "PID  PPID  S  CPU  NAME",
        "  1     0  S  0    init",
        "  2     0  S  0    [kthreadd]",
        "150     1  R  1*   ba\\x1bsh",
        "CPU 0 is idle",
        "CPU 1 runs 150 ba\\x1bsh",
    ]


def test_ps_as_a_tree(lab: LinuxLab, ntbdbg: Run) -> None:
    shown = lines(ntbdbg, "ps", "qemu1", "--tree")
    assert shown[1:4] == [
        "  1     0  S  0    init",
        "150     1  R  1*     ba\\x1bsh",
        "  2     0  S  0    [kthreadd]",
    ]


def test_ps_for_a_program(lab: LinuxLab, ntbdbg: Run) -> None:
    found = facts(ntbdbg, "ps", "qemu1", "--threads")
    assert [task["pid"] for task in found["tasks"]] == [1, 2, 150]
    assert found["tasks"][2]["running"]
    assert found["partial"] is None


@contextlib.contextmanager
def damage(lab: LinuxLab, pointer: int, value: int) -> Iterator[None]:
    """qemu1 with another value in the pointer at a VA, for as long as the block takes."""
    guest = lab.linux["qemu1"]
    place = guest.physical(pointer)
    saved = bytes(guest.space.data[place : place + 8])
    guest.space.poke(place, value.to_bytes(8, "little"))
    guest.save(lab.ram_path("qemu1"))
    try:
        yield
    finally:
        guest.space.poke(place, saved)
        guest.save(lab.ram_path("qemu1"))


def first_node(lab: LinuxLab, command: str) -> int:
    """VA of the pointer that leads to the first one of a list."""
    if command == "modules":
        return lab.linux["qemu1"].symbols["modules"]
    return FURNITURE["qemu1"].tasks.init.at("tasks.next")


def test_ps_of_a_damaged_list(lab: LinuxLab, ntbdbg: Run) -> None:
    second = FURNITURE["qemu1"].tasks.init["tasks.next"]
    with damage(lab, second, second + 1):
        done = ntbdbg("ps", "qemu1")
    assert done.returncode == 0
    assert "note: qemu1: this is not all: " in done.stderr


@pytest.mark.parametrize(("command", "what"), [("ps", "task"), ("modules", "module")])
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_list_of_which_nothing_can_be_read(
    lab: LinuxLab, ntbdbg: Run, command: str, what: str, how: list[str]
) -> None:
    with damage(lab, first_node(lab, command), 1):
        done = ntbdbg(command, "qemu1", *how)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"leads to no {what} that can be read: " in done.stderr


def test_lists_that_are_empty(lab: LinuxLab, ntbdbg: Run) -> None:
    head = first_node(lab, "modules")
    with damage(lab, head, head):
        done = ntbdbg("modules", "qemu1")
    assert (done.returncode, done.stderr) == (0, "note: qemu1 has no module\n")
    head = first_node(lab, "ps")
    with damage(lab, head, head):
        done = ntbdbg("ps", "qemu1")
    assert done.returncode == 4
    assert "leads to no task that can be read: the list is empty" in done.stderr


def test_modules(lab: LinuxLab, ntbdbg: Run) -> None:
    assert lines(ntbdbg, "modules", "qemu1") == [
        "MODULE       SIZE  BASE                STATE  TAINTS  USED  BY",
        "ntb_hw_idt  40960  0xffffffffc0005000  live   OE         0  [permanent]",
        "ntb         16384  0xffffffffc0000000  live   OE         1  ntb_hw_idt",
    ]
    found = facts(ntbdbg, "modules", "qemu1")
    assert [(m["name"], m["size"], m["users"]) for m in found["modules"]] == [
        ("ntb_hw_idt", 40960, []),
        ("ntb", 16384, ["ntb_hw_idt"]),
    ]


def test_devices(lab: LinuxLab, ntbdbg: Run) -> None:
    assert lines(ntbdbg, "devices", "qemu1") == [
        "SLOT          ID         CLASS          DRIVER      RESOURCES",
        "0000:00:00.0  8086:29c0  060000 bridge  -           -",
        "0000:00:02.0  111d:8091  068000 bridge  ntb_hw_idt  "
        "BAR 0  0xfebfd000-0xfebfdfff  4 KiB  memory",
        " " * 52 + "BAR 2  0xfe000000-0xfe1fffff  2 MiB  memory, 64 bits, prefetchable",
    ]
    found = facts(ntbdbg, "devices", "qemu1")["devices"][1]
    assert (found["driver"], found["class"], found["resources"][0]["size"]) == (
        "ntb_hw_idt",
        0x068000,
        0x1000,
    )
