# SPDX-License-Identifier: MIT
"""postmortem and report over two fake guests, one of which panicked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.memory.base import Segment
from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelog import FakeLog
from tests.support.fakestack import FakeStacks
from tests.support.fakeswitch import FakeSwitch
from tests.support.faketasks import DISK, FakeTasks
from tests.support.linuxlab import LinuxLab

PANIC = "Kernel panic - not syncing: sysrq triggered crash"
Furnish = Callable[[str, FakeGuest], None]


def furnish(name: str, guest: FakeGuest) -> None:
    """qemu1 panicked on CPU 1, qemu2 has a task that the kernel calls hung."""
    log = FakeLog(guest)
    tasks, stacks = FakeTasks(guest), FakeStacks(guest)
    tasks.add(1, "init")
    schedule, wait = stacks.function("schedule"), stacks.function("wait_for_peer")
    end = stacks.function("kthread_end", kind="end")
    stacks.finish()
    waiter = tasks.add(33, "cat", state=DISK)
    stacks.block(waiter, [schedule + 4, wait + 8, end + 1])
    log.add(f"hello from {name}", at=1.0)
    if name == "qemu1":
        guest.number("panic_cpu", 1, "int")
        log.add("BUG: kernel NULL pointer dereference, address: 0", at=59.9)
        log.add(PANIC, at=60.0, level=0)
        log.add("CPU: 1 PID: 217 Comm: bash", at=60.1)
        log.add(f"---[ end {PANIC} ]---", at=60.2)
    else:
        guest.number("panic_cpu", (1 << 32) - 1, "int")
        log.add("INFO: task cat:33 blocked for more than 120 seconds.", at=240.0)
        log.add("INFO: task cat:33 blocked for more than 241 seconds.", at=361.0)


def page(size: int = 16 << 20) -> bytes:
    switch = FakeSwitch()
    for part in (0, 1):
        switch.publish_ram(part, [Segment(0, size, 0)])
    switch.link_up()
    switch.translate(0, address=0x200000, size=0x10000)
    switch.ring(1, 0x4)
    switch.update_open()
    return switch.build()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinuxLab]:
    with LinuxLab(tmp_path / "run", furnish=furnish, page=page()) as made:
        made.monkeypatch(monkeypatch)
        yield made


def test_each_guest_s_condition_and_why(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("postmortem", "--json")
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout)["guests"]
    assert one["condition"] == "panicked"
    assert "its kernel panicked on CPU 1" in one["why"]
    assert f"panic at 60.000000 s: {PANIC}" in one["why"]
    assert one["panic"][0].startswith("BUG: kernel NULL pointer")
    assert one["panic"][-1].startswith("---[ end Kernel panic")
    assert two["condition"] == "hung"
    (why,) = [clause for clause in two["why"] if "hung task" in clause]
    assert why.endswith("INFO: task cat:33 blocked for more than 241 seconds.")
    assert two["panic"] == []
    assert two["dmesg"][0] == "[    1.000000] hello from qemu2"


def test_tasks_that_wait_are_told_with_their_stacks(lab: LinuxLab, ntbdbg: Run) -> None:
    two = json.loads(ntbdbg("postmortem", "--json").stdout)["guests"][1]
    (stack,) = two["stuck"]
    assert (stack["title"], stack["state"]) == ("pid 33 cat", "D")
    assert stack["why"] == "waits and cannot be interrupted"
    assert stack["frames"] == ["schedule+0x4", "wait_for_peer+0x8", "kthread_end+0x1"]
    assert stack["problem"] == ""


def test_frozen_guests_are_told_as_they_were(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("postmortem", "--freeze", "--json")
    assert done.returncode == 0, done.stderr
    assert not [c for g in json.loads(done.stdout)["guests"] for c in g["why"] if "paused" in c]
    assert [server.status for server in lab.qmp.values()] == ["running", "running"]


def test_the_link_s_findings(lab: LinuxLab, ntbdbg: Run) -> None:
    link = json.loads(ntbdbg("postmortem", "--json").stdout)["link"]
    assert link["problem"] == ""
    texts = {(finding["guest"], finding["text"][:22]) for finding in link["findings"]}
    assert ("qemu2", "doorbells 0x4 are set ") in texts


def test_as_text(lab: LinuxLab, ntbdbg: Run) -> None:
    lines = ntbdbg("postmortem", "--log", "1").stdout.splitlines()
    assert "qemu1: panicked" in lines
    assert "qemu2: hung" in lines
    logged = [line.strip() for line in lines if "hello from" in line]
    hello = [f"[    1.000000] hello from {name}" for name in ("qemu1", "qemu2")]
    assert logged == hello, "what the verdicts tell is told once"
    assert any(re.match(r"  qemu1:mw0 +2 direct 2 MiB +0xfe000000 +64 KiB", x) for x in lines)


def test_a_guest_without_linux_is_told(lab: LinuxLab, ntbdbg: Run) -> None:
    path = Path(lab.ram_path("qemu2"))
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(16 << 20)
    done = ntbdbg("postmortem", "--json")
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)["guests"][1]
    assert two["condition"] == "running"
    assert "no Linux kernel" in two["problems"][0]


def test_a_vanished_ram_file_is_told(lab: LinuxLab, ntbdbg: Run) -> None:
    Path(lab.ram_path("qemu1")).unlink()
    done = ntbdbg("postmortem", "--json")
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout)["guests"]
    assert "does not exist" in one["problems"][0]
    assert two["dmesg"]


def test_a_capture_and_a_lab_exclude_each_other(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("--lab", "default", "postmortem", "x.cap")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_the_report_has_it_all(lab: LinuxLab, ntbdbg: Run, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    done = ntbdbg("report", "-o", str(target))
    assert done.returncode == 0, done.stderr
    text = target.read_text(encoding="utf-8")
    assert PANIC in text
    assert "qemu1:mw0" in text
    assert "blocked for more than 241 seconds" in text
    assert text.count("data:image/png;base64,") == 2
    assert target.stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("through", ["itself", "a link"])
def test_a_report_replaces_nothing_but_a_file(
    lab: LinuxLab, ntbdbg: Run, tmp_path: Path, through: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(pipe)
    done = ntbdbg("report", "-o", str(pipe if through == "itself" else link))
    assert done.returncode == 2
    assert "is a FIFO" in done.stderr
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_report_is_written_through_a_link(lab: LinuxLab, ntbdbg: Run, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    assert ntbdbg("report", "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert "<html" in (tmp_path / "target").read_text()


def test_a_report_that_cannot_be_written_changes_nothing(
    lab: LinuxLab, ntbdbg: Run, tmp_path: Path
) -> None:
    done = ntbdbg("report", "-o", str(tmp_path / "no" / "report.html"))
    assert done.returncode == 3
    assert "cannot write" in done.stderr
    assert not list(tmp_path.glob(".report-*"))
