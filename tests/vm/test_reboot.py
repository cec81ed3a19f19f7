# SPDX-License-Identifier: MIT
"""Kernels that follow each other in one RAM: by kexec, which leaves the first one whole, and by
a reset. Everything shown is of the one that runs."""

from __future__ import annotations

import base64
import shlex
import subprocess
from pathlib import Path

import pytest

from ntbdbg.kernel.boot.locate import find_vmcoreinfo
from ntbdbg.lab.lab import Lab as TargetLab
from ntbdbg.lab.qmp import Qmp
from tests.vm import facts

pytestmark = [pytest.mark.vm, pytest.mark.in_order]

SOURCE = Path(__file__).parent / "guest" / "kexec.c"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture(scope="module")
def lab(start_lab):
    # Without KASLR it lies low, and kexec leaves the next one at the end of RAM: never over it.
    return start_lab("--cmdline-common=nokaslr", "--memory=512", kind="vm")


@pytest.fixture
def kexec(lab, tmp_path):
    """Hands the guest over to the kernel it was booted with."""
    program = tmp_path / "kexec"
    subprocess.run(["gcc", "-static", "-O2", "-o", program, SOURCE], check=True)
    kernel = lab.manifest.guests[0].kernel
    files = {"kexec": program, "kernel": Path(kernel.image), "initrd": Path(kernel.initramfs)}
    for name, path in files.items():
        sent = lab.ssh(
            1,
            f"base64 -d > /dev/shm/{name}",
            stdin=base64.encodebytes(path.read_bytes()).decode(),
        )
        assert sent.returncode == 0, sent
    words = ["/dev/shm/kexec", "/dev/shm/kernel", "/dev/shm/initrd"]

    def run(cmdline: str) -> None:
        lab.sh(1, f"chmod +x {words[0]} && {shlex.join([*words, cmdline])}")

    return run


def first_kernel(lab) -> str:
    """Memory of the kernel that runs, as what the next one is told to leave alone."""
    lines = lab.sh(1, "cat /proc/iomem").splitlines()
    parts = [line.split(" : ")[0] for line in lines if "Kernel " in line]
    start, end = int(parts[0].split("-")[0], 16), int(parts[-1].split("-")[1], 16) + 1
    with TargetLab.open(lab.folder) as opened:
        (info,) = find_vmcoreinfo(opened.guest("qemu").memory)
    note = info.address & -4096
    return f"memmap={end - start:#x}${start:#x} memmap=4K${note:#x}"


def is_up(found: dict, cmdline: str) -> bool:
    """Whether a kernel that was started with `cmdline` runs and has named its guest."""
    return found["in_use"] and (found["command_line"], found["nodename"]) == (cmdline, "qemu")


def everything_is_of_this_boot(lab) -> dict:
    """What ntbdbg tells is what the guest that answers says; gives what `info` says."""
    found = lab.json("info", "qemu")
    uptime = float(lab.sh(1, "cat /proc/uptime").split()[0])
    assert 0 < found["uptime_ns"] / 1e9 <= uptime
    assert found["command_line"] == lab.sh(1, "cat /proc/cmdline")
    assert (found["system_state"], found["in_use"]) == ("running", True)
    theirs = [line.rstrip() for line in lab.sh(1, "dmesg").splitlines()]
    ours = [line.rstrip() for line in lab.ntbdbg("dmesg", "qemu").splitlines()]
    assert ours[: len(theirs)] == theirs
    before = facts.processes(lab, 1)
    tasks = {task["pid"]: task["name"] for task in lab.json("ps", "qemu", "--freeze")["tasks"]}
    after = facts.processes(lab, 1)
    lasting = {pid: one.name for pid, one in before.items() if after.get(pid) == one}
    assert len(lasting) > 40
    assert {pid: facts.lasting(tasks.get(pid, "")) for pid in lasting} == lasting
    return found


def test_after_kexec_the_first_kernel_is_whole_and_has_the_later_clock(lab, kexec):
    first = everything_is_of_this_boot(lab)
    assert first["others"] == []
    boot_id = lab.sh(1, BOOT_ID)
    lab.sh(1, "date -s 2040-01-01")
    cmdline = lab.sh(1, "cat /proc/cmdline").replace("nokaslr", first_kernel(lab))
    kexec(cmdline)
    # A connection to the kernel that ends would hang.
    lab.until(lambda: is_up(lab.json("info", "qemu"), cmdline), timeout=200)
    lab.until(lambda: lab.ssh(1, "true").returncode == 0, timeout=200)
    assert lab.sh(1, BOOT_ID) != boot_id
    second = everything_is_of_this_boot(lab)
    assert [one["release"] for one in second["others"]] == [first["release"]]
    assert second["command_line"] == cmdline
    assert (first["kernel_offset"], second["kernel_offset"] > 0) == (0, True)
    assert second["realtime_ns"] < first["realtime_ns"] + 3600e9


def test_between_two_boots_and_after_a_reset(lab):
    """QEMU is told to stand still where it would reset the machine."""
    (guest,) = lab.manifest.guests
    with Qmp(guest.qmp, who=guest.name) as qmp:
        qmp.execute("set-action", reboot="shutdown", shutdown="pause")
    lab.sh(1, "(sleep 0.2; reboot -f) > /dev/null 2>&1 &")
    lab.until(lambda: lab.qmp_status()[guest.name] in ("paused", "shutdown"))
    ended = lab.json("info", "qemu")
    assert (ended["system_state"], ended["in_use"]) == ("restart", True)
    with Qmp(guest.qmp, who=guest.name) as qmp:
        qmp.execute("set-action", reboot="reset", shutdown="poweroff")
        qmp.execute("system_reset")
    lab.until(lambda: lab.json("info", "qemu")["in_use"] is False)
    assert "it has restarted the machine" in lab.ntbdbg("info", "qemu")
    with Qmp(guest.qmp, who=guest.name) as qmp:
        qmp.execute("cont")
    lab.until(lambda: lab.ssh(1, "true").returncode == 0, timeout=200)
    assert everything_is_of_this_boot(lab)["kernel_offset"] == 0 != ended["kernel_offset"]
