# SPDX-License-Identifier: MIT
"""RAM files that running QEMUs have mapped: privately, or for a further NUMA node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.lab.holders import Holder, holders, numa_node
from ntbdbg.lab.qemus import qemu_processes
from ntbdbg.memory.file import CheckedFile
from tests.ntbdbg.conftest import Run
from tests.support.fakeproc import FakeProc, mapped_file

MIB = 1 << 20


@pytest.fixture
def ram(tmp_path: Path) -> Path:
    path = tmp_path / "guest.ram"
    path.write_bytes(b"first boot".ljust(MIB, b"\0"))
    return path


def test_only_qemus_that_have_the_file_are_told(ram: Path, tmp_path: Path) -> None:
    proc = FakeProc(tmp_path / "proc")
    other = tmp_path / "other"
    other.write_bytes(b"x")
    qemu = "/usr/bin/qemu-system-x86_64"
    proc.add(1, qemu, mapped_file(other, "rw-p"))
    proc.add(2, "/usr/bin/less", mapped_file(ram, "rw-p"))
    both = mapped_file(other, "rw-s") + mapped_file(ram, "rw-p")
    proc.add(3, qemu, f"garbage\n\n{both}", "qemu", "-S")
    proc.add(4, f"{qemu} (deleted)", mapped_file(ram, "rw-s"))
    proc.add(5, "/usr/bin/kvm", mapped_file(ram, "r--p") + mapped_file(ram, "rw-s"))
    proc.add(6, "/usr/libexec/qemu-kvm", mapped_file(ram, "rw-p", device="00:99"))
    proc.add(7, qemu, mapped_file(ram, "rw-p", device="00:99", path="/elsewhere"))
    (proc.root / "8").mkdir()
    (proc.root / "self").mkdir()
    root = str(proc.root)
    found = holders(CheckedFile(str(ram), "x", "RAM file"), qemu_processes(root), root)
    assert sorted(found) == [
        Holder(3, True, ("qemu", "-S")),
        Holder(4, False, ("",)),
        Holder(5, False, ("",)),
        Holder(6, True, ("",)),
    ]


@pytest.mark.parametrize(
    ("argv", "first", "second"),
    [
        (
            "-object memory-backend-file,id=n0,size=1M,mem-path={a},share=on "
            "-object memory-backend-file,id=n1,size=1M,mem-path={b},share=on "
            "-numa node,memdev=n0 -numa node,memdev=n1",
            0,
            1,
        ),
        (
            "-object memory-backend-file,id=n0,mem-path={a} -numa node,nodeid=1,memdev=n0 "
            '-object {{"qom-type":"memory-backend-file","id":"n1","mem-path":"{b}"}} '
            '-numa {{"type":"node","nodeid":0,"memdev":"n1"}}',
            1,
            0,
        ),
        ("-object memory-backend-file,id=n0,mem-path={a} -numa node,memdev=n0", None, None),
        ("-object memory-backend-file,id=n0,mem-path={a} -machine memory-backend=n0", None, None),
        ("-numa {{ -object {{broken -numa", None, None),
    ],
)
def test_the_number_of_a_node(
    tmp_path: Path, argv: str, first: int | None, second: int | None
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.touch()
    b.touch()
    words = ("qemu", *argv.format(a=a, b=b).split())
    assert (numa_node(words, str(a)), numa_node(words, str(b))) == (first, second)


# -- for real: a program of that name, which maps what it is told to ---------------------------

MAPPER = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
mapping = mmap.mmap(fd, 0, flags=int(sys.argv[2]))
print("mapped", flush=True)
sys.stdin.read()
"""
Qemu = Callable[..., None]


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    """Starts a process that is called like QEMU and maps a file, until the test ends."""
    program = tmp_path / "qemu-system-x86_64"
    shutil.copy(os.path.realpath(sys.executable), program)
    running = []

    def start(path: Path, flags: int, *argv: str) -> None:
        process = subprocess.Popen(
            [program, "-c", MAPPER, path, str(flags), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONHOME": sys.base_prefix},
        )
        running.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"mapped\n"

    yield start
    for process in running:
        process.communicate()


SHARED, PRIVATE = 1, 2


def test_a_private_mapping_is_told_and_not_patched(ram: Path, qemu: Qemu, ntbdbg: Run) -> None:
    qemu(ram, PRIVATE)
    done = ntbdbg("dump", ram, "0", "16")
    assert "first boot" in done.stdout
    assert f"note: {ram} is mapped privately (share=off) by QEMU process " in done.stderr
    assert "what is shown may be of an earlier guest" in done.stderr
    refused = ntbdbg("patch", ram, "0", "u8:1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "a patch would not reach it; nothing was changed; start the guest with share=on" in (
        refused.stderr
    )
    assert ram.read_bytes()[:10] == b"first boot"


def test_a_shared_mapping_needs_no_word(ram: Path, qemu: Qemu, ntbdbg: Run) -> None:
    qemu(ram, SHARED)
    assert "mapped" not in ntbdbg("dump", ram, "0", "16").stderr
    assert ntbdbg("patch", ram, "0", "u8:1").returncode == 0


def test_what_an_ivshmem_device_shows_has_no_holes(ram: Path, qemu: Qemu, ntbdbg: Run) -> None:
    backend = f"memory-backend-file,id=shm,size=1M,mem-path={ram},share=on"
    qemu(ram, SHARED, "-object", backend, "-device", "ivshmem-plain,memdev=shm")
    done = ntbdbg("dump", ram, "0xa0000", "16")
    assert done.stdout.startswith("000a0000: ")
    assert "is what an ivshmem device of QEMU process" in done.stderr
    assert "hole" not in ntbdbg("map", ram).stdout


def test_a_further_nodes_file_is_refused_without_its_map(
    ram: Path, tmp_path: Path, qemu: Qemu, ntbdbg: Run
) -> None:
    first = tmp_path / "first.ram"
    shutil.copy(ram, first)
    files = {"n0": first, "n1": ram}
    argv = [
        f"-object memory-backend-file,id={name},mem-path={path}" for name, path in files.items()
    ]
    argv += ["-numa node,memdev=n0", "-numa node,memdev=n1"]
    words = " ".join(argv).split()
    qemu(ram, SHARED, *words)
    qemu(first, SHARED, *words)
    done = ntbdbg("search", ram, "str:first")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{ram} is RAM of NUMA node 1 of QEMU process" in done.stderr
    assert "--segments GPA:SIZE:0" in done.stderr
    told = ntbdbg("search", ram, "str:first", "--segments", "256M:1M:0")
    assert told.stdout.startswith("10000000: ")
    of_first = ntbdbg("search", first, "str:first")
    assert of_first.stdout.startswith("00000000: ")
    assert f"{first} is RAM of the first of several NUMA nodes of QEMU process" in of_first.stderr
