# SPDX-License-Identifier: MIT
"""``ntbdbg guests``: the table, its JSON, and a process that is called like QEMU."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ntbdbg.lab.sources.hostguests import HostGuest, HostMonitor, Lies
from ntbdbg.render.console import make_console
from ntbdbg.render.hostguests import HostGuestTable
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab

MIB = 1 << 20
OWN = HostGuest(
    "qemu1", None, 16345, 1, 0, "tcg", 256 * MIB, (Lies("file", "/dev/shm/q1"),), None, True, "bugs"
)
MONITOR = HostMonitor("unix", "/run/q", held=True)


def test_the_table() -> None:
    guests = [
        OWN._replace(monitor=HostMonitor("unix", "/run/q")),
        OWN._replace(
            name="web1", pid=9, ram=4096 * MIB, lies=(Lies("process"),), readable=False
        )._replace(monitor=HostMonitor("fd", "22", held=True, libvirt=True), lab=None),
        OWN._replace(name=None, lies=(Lies("memfd"), Lies("process", "/x\x1b")), monitor=MONITOR),
    ]
    out = io.StringIO()
    make_console(out, color=False, width=140).print(HostGuestTable(guests))
    cells = [re.split(r"\s{2,}", line) for line in out.getvalue().splitlines()]
    private = "a file without a path (memfd) and its own memory (/x\\x1b is private)"
    assert cells == [
        ["NAME", "PID", "VMM", "RAM", "LIES IN", "MONITOR", "ACCESS", "LAB"],
        ["qemu1", "16345", "QEMU tcg", "256 MiB", "/dev/shm/q1", "QMP /run/q", "yes", "bugs"],
        ["web1", "9", "QEMU tcg", "4 GiB", "its own memory", "libvirt", "root", "-"],
        ["-", "16345", "QEMU tcg", "256 MiB", private, "QMP /run/q, in use", "yes", "bugs"],
    ]


def test_one_that_runs(lab: FakeLab, tmp_path: Path, ntbdbg: Run) -> None:
    program = tmp_path / "qemu-system-x86_64"
    shutil.copy(os.path.realpath(sys.executable), program)
    argv = [program, "-c", "print(flush=True); input()", "-name", "esc\x1b[1m", "-m", "64"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONHOME": sys.base_prefix}
    ) as run:
        assert run.stdout
        run.stdout.readline()
        told = json.loads(ntbdbg("guests", "--json", env=lab.environ).stdout)
        shown = ntbdbg("guests", env=lab.environ)
        run.communicate(b"\n")
    [found] = [one for one in told["guests"] if one["pid"] == run.pid]
    assert found == {
        "name": "esc\x1b[1m",
        "uuid": None,
        "pid": run.pid,
        "user": os.getuid(),
        "vmm": "QEMU",
        "accelerator": "tcg",
        "ram": 64 * MIB,
        "lies_in": [{"kind": "process", "path": None}],
        "monitor": None,
        "readable": True,
        "lab": None,
    }
    assert "\x1b" not in shown.stdout
    assert re.search(rf"^esc\\x1b\[1m +{run.pid} ", shown.stdout, re.MULTILINE)
