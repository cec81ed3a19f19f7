# SPDX-License-Identifier: MIT
"""Guests of others as /proc tells of them: texts as they are of guests started in many ways."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.lab.sources.hostguests import HostGuest, HostMonitor, Lies, host_guests
from ntbdbg.lab.sources.procfs import parse_maps
from tests.support.fakeproc import QEMU, FakeProc, mapping

MIB = 1 << 20
SIZE = 256 * MIB
MEMORY = "-object memory-backend-{kind},id=ram,size=256M -machine q35,memory-backend=ram -m 256M"
FILE = MEMORY.format(kind="file,mem-path=/dev/shm/x,share=on")
MEMFD = "/memfd:memory-backend-memfd (deleted)"


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    made = FakeProc(tmp_path / "proc")
    made.root.mkdir()
    (made.root / "self").mkdir()
    made.add(1, "/usr/lib/systemd/systemd", "", "/sbin/init")
    return made


def only(proc: FakeProc, **known: Any) -> HostGuest:
    [found] = host_guests(known.get("known", {}), str(proc.root))
    return found


@pytest.mark.parametrize(
    ("argv", "maps", "lies"),
    [
        pytest.param(
            FILE, mapping(SIZE, "rw-s", "/dev/shm/x"), [Lies("file", "/dev/shm/x")], id="file"
        ),
        pytest.param(
            FILE,
            mapping(SIZE, "rw-s", "/dev/shm/x (deleted)"),
            [Lies("file", "/dev/shm/x")],
            id="unlinked",
        ),
        pytest.param(
            MEMORY.format(kind="memfd"), mapping(SIZE, "rw-s", MEMFD), [Lies("memfd")], id="memfd"
        ),
        pytest.param("-m 256", mapping(SIZE, "rw-p"), [Lies("process")], id="anonymous"),
        pytest.param(
            MEMORY.format(kind="ram,share=on"),
            mapping(SIZE, "rw-s", "/dev/zero (deleted)"),
            [Lies("memfd")],
            id="shared without a file",
        ),
        pytest.param(
            "-object memory-backend-file,id=a,size=1M,mem-path=/a,share=on -numa node,memdev=a "
            "-object memory-backend-ram,id=b,size=2M -numa node,memdev=b",
            mapping(MIB, "rw-s", "/a"),
            [Lies("file", "/a"), Lies("process")],
            id="two nodes",
        ),
        pytest.param(
            MEMORY.format(kind="file,mem-path=/dev/hugepages,share=on"),
            mapping(SIZE, "rw-s", "/dev/hugepages/qemu_back_mem.ram.aB3 (deleted)"),
            [Lies("file", "/dev/hugepages/qemu_back_mem.ram.aB3")],
            id="huge pages",
        ),
        pytest.param(
            MEMORY.format(kind="file,mem-path=/dev/shm/x"),
            mapping(SIZE, "rw-p", "/dev/shm/x"),
            [Lies("process", "/dev/shm/x")],
            id="private",
        ),
        pytest.param(
            "-m 256 -mem-path /dev/shm",
            mapping(SIZE, "rw-p", "/dev/shm/qemu_back_mem.pc.ram.Q1 (deleted)"),
            [Lies("process", "/dev/shm/qemu_back_mem.pc.ram.Q1")],
            id="-mem-path",
        ),
        pytest.param(FILE, None, [Lies("file", "/dev/shm/x")], id="by its words: a file"),
        pytest.param("-m 256", None, [Lies("process")], id="by its words: its own"),
    ],
)
def test_where_its_ram_lies(proc: FakeProc, argv: str, maps: str | None, lies: list[Lies]) -> None:
    # The peer of a guest has the same size, and so have others: no mapping is it by its size alone.
    peer = mapping(SIZE, "rw-s", "/dev/shm/peer", start=0x7E00_0000_0000)
    proc.add(24, QEMU, None if maps is None else peer + maps, QEMU, *argv.split())
    found = only(proc)
    assert list(found.lies) == lies
    assert found.readable is (maps is not None)


def test_of_another_user_only_its_words_are_known(proc: FakeProc) -> None:
    proc.add(9, None, None, QEMU, *f"-name guest=web1 -accel kvm {FILE}".split())
    proc.add(10, None, None, "/usr/bin/qemu-img", "info")
    found = only(proc)
    assert (found.name, found.ram, found.accelerator) == ("web1", SIZE, "kvm")
    assert not found.readable
    assert found.uid == os.getuid()


@pytest.mark.parametrize(
    ("program", "argv", "fds", "accelerator"),
    [
        (QEMU, "", {}, "tcg"),
        (QEMU, "-enable-kvm", {}, "kvm"),
        (QEMU, "-machine pc,accel=kvm:tcg", {9: "anon_inode:kvm-vm"}, "kvm"),
        (QEMU, "-machine pc,accel=kvm:tcg", {9: "/dev/null"}, "tcg"),
        (QEMU, "-accel kvm -accel tcg", {}, "kvm or tcg"),
        ("/usr/bin/kvm", "", {}, "kvm"),
        (f"{QEMU} (deleted)", "", {}, "tcg"),
    ],
)
def test_what_runs_it(
    proc: FakeProc, program: str, argv: str, fds: dict[int, str], accelerator: str
) -> None:
    proc.add(9, program, "", program, *argv.split(), fds=fds)
    assert only(proc).accelerator == accelerator


def test_the_monitor_that_nobody_holds_is_told_first(proc: FakeProc) -> None:
    argv = "-qmp unix:/run/a,server=on,wait=off -qmp unix:/run/b,server=on,wait=off"
    proc.add(9, QEMU, "", QEMU, *argv.split())
    proc.socket("/run/a", 100, connected=True)
    proc.socket("/run/b", 200)
    assert only(proc).monitor == HostMonitor("unix", "/run/b")


def test_a_monitor_that_is_held(proc: FakeProc) -> None:
    proc.add(9, QEMU, "", QEMU, "-qmp", "unix:/run/a,server=on")
    proc.socket("/run/a", 100, connected=True)
    assert only(proc).monitor == HostMonitor("unix", "/run/a", held=True)


def test_libvirts_monitor_is_found_by_the_descriptor_that_it_handed_over(proc: FakeProc) -> None:
    argv = (
        "-name guest=web1,debug-threads=on -uuid 3f2a "
        "-chardev socket,id=charmonitor,fd=22,server=on "
        "-mon chardev=charmonitor,id=monitor,mode=control"
    )
    proc.add(9, QEMU, "", QEMU, *argv.split(), fds={22: "socket:[300]"})
    path = "/var/lib/libvirt/qemu/domain-1-web1/monitor.sock"
    proc.socket(path, 300, connected=True)
    found = only(proc)
    assert found.monitor == HostMonitor("unix", path, held=True, libvirt=True)
    assert (found.name, found.uuid) == ("web1", "3f2a")


def test_one_that_cannot_be_looked_into_is_libvirts_all_the_same(proc: FakeProc) -> None:
    argv = "-chardev socket,id=charmonitor,fd=22 -mon chardev=charmonitor,mode=control"
    proc.add(9, None, None, QEMU, *argv.split())
    assert only(proc).monitor == HostMonitor("fd", "22", held=True, libvirt=True)


def test_a_guest_of_a_lab_has_the_name_that_the_lab_gave_it(proc: FakeProc) -> None:
    proc.add(9, QEMU, "", QEMU, "-name", "x", start_time=55)
    assert only(proc).name == "x"
    found = only(proc, known={(9, 55): ("qemu1", "bugs"), (9, 54): ("old", "dead")})
    assert (found.name, found.lab) == ("qemu1", "bugs")


def test_few_files_of_each_process_are_opened(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(100, 120):
        proc.add(pid, "/usr/bin/bash", "", "bash")
    proc.add(9, QEMU, mapping(SIZE, "rw-p"), QEMU, "-m", "256")
    opened: list[str] = []
    for module, name in ((builtins, "open"), (os, "open")):
        real = getattr(module, name)

        def counting(path: Any, *rest: Any, real: Any = real, **named: Any) -> Any:
            if str(path).startswith(str(proc.root)):
                opened.append(str(path).removeprefix(str(proc.root)))
            return real(path, *rest, **named)

        monkeypatch.setattr(module, name, counting)
    assert only(proc).pid == 9
    assert sorted(opened) == ["/9/cmdline", "/9/maps", "/9/mem", "/9/stat", "/net/unix"]


def test_lines_of_maps_that_make_no_sense_are_left_out() -> None:
    good = "1000-3000 rw-s 00001000 fd:01 77 /a b (deleted)\n"
    [found] = parse_maps(f"x\n1-2\nzz-1 rw-p 0 0:0 0\n{good}1000-2000 rw-p 0 0 0\n".encode())
    assert found == (0x1000, 0x3000, True, 0x1000, (0xFD, 1), 77, "/a b (deleted)")
    assert found.size == 0x2000
