# SPDX-License-Identifier: MIT
"""What `status` shows, through a console of fixed width without colours."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from rich.console import Console

from ntbdbg.lab.manifest import (
    ExitRecord,
    GuestRecord,
    LinkRecord,
    Manifest,
    ProcessRef,
    RamRecord,
    SegmentRecord,
)
from run.cli.printing import TableConsole
from run.cli.statusview import LabView
from run.lab.status import GuestStatus, LabStatus, LinkStatus, ago, duration, gather

NOW = 1_000_000.0

RUNNING = GuestStatus(
    name="qemu1",
    number=1,
    state="running",
    pid=4711,
    uptime=192.4,
    ssh_port=7001,
    console_port=8001,
    accelerator="tcg",
    ram="/dev/shm/qemu1",
    ram_size=256 << 20,
    ram_kept=True,
    log="/l/qemu1.log",
    console_log="/l/qemu1.console.log",
)
KILLED = replace(
    RUNNING,
    name="qemu2",
    number=2,
    state="ended",
    uptime=None,
    ram="/dev/shm/qemu2",
    ram_kept=False,
    exit_code=-9,
    ended=NOW - 12,
    how="was killed by SIGKILL",
    log_tail=("qemu: a warning",),
    console_tail=("[    1.0] booting", "[bold]not markup[/bold]"),
)
PANICKED = replace(RUNNING, state="panicked", console_tail=("Kernel panic - not syncing",))
LAB = LabStatus(
    name="default",
    state="linked",
    created=NOW - 200,
    launcher_pid=4700,
    launcher_runs=True,
    guests=(RUNNING, KILLED),
    link=LinkStatus(server_pid=4705, server_runs=True, shared_page="/dev/shm/p/page"),
)


def shown(lab: LabStatus) -> str:
    console = Console(width=90, color_system=None, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(LabView(lab, NOW))
    return "".join(line.rstrip() + "\n" for line in capture.get().splitlines())


def test_one_runs_one_was_killed():
    assert (
        shown(LAB)
        == """\
lab default: linked, started 3 min ago
  guest  state    pid   up     ssh   console  RAM
  qemu1  running  4711  3 min  7001  8001     256 MiB
  qemu2  ended    -     -      -     -        256 MiB
  qemu1 RAM: /dev/shm/qemu1
  qemu2 RAM: /dev/shm/qemu2 (gone)
  link: ivshmem-server pid 4705, shared page /dev/shm/p/page
  qemu2 was killed by SIGKILL 12 s ago
    'python3 run start 2' starts it again
    QEMU:    qemu: a warning
    console: [    1.0] booting
    console: [bold]not markup[/bold]
"""
    )


def test_a_guest_that_gdb_holds():
    lab = replace(LAB, guests=(replace(RUNNING, state="debug", debugger=815),), link=None)
    assert "\n  qemu1 is held by gdb (process 815)\n" in shown(lab)
    assert lab.to_json()["guests"][0]["debugger"] == 815


def test_panic_and_killed_launcher():
    link = replace(LAB.link, server_runs=False)
    lab = replace(LAB, guests=(PANICKED,), link=link, launcher_runs=False)
    assert (
        shown(lab)
        == """\
lab default: linked, started 3 min ago; its launcher was killed, 'python3 run stop' cleans
up
  guest  state     pid   up     ssh   console  RAM
  qemu1  panicked  4711  3 min  7001  8001     256 MiB
  qemu1 RAM: /dev/shm/qemu1
  link: ivshmem-server gone, shared page /dev/shm/p/page
  qemu1 panicked; it stays to be looked at
    console: Kernel panic - not syncing
"""
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_duration(seconds, words):
    assert duration(seconds) == words
    assert ago(NOW - seconds, NOW) == f"{words} ago"


@pytest.fixture
def record(tmp_path):
    ram = tmp_path / "qemu1"
    ram.write_bytes(bytes(4096))
    (tmp_path / "log").write_text("one\n\n\x1b[31mtwo\x1b[0m\n")
    status = ram.stat()
    return GuestRecord(
        name="qemu1",
        index=0,
        ram=RamRecord(
            path=str(ram),
            device=status.st_dev,
            inode=status.st_ino,
            size=4096,
            segments=(SegmentRecord(gpa=0, size=4096, offset=0),),
        ),
        qmp="/q",
        qmp_launcher="/ql",
        console_log=str(tmp_path / "none"),
        log=str(tmp_path / "log"),
        process=ProcessRef.of(os.getpid()),
    )


def lab(*guests, **fields):
    return Manifest(lab="x", state="linked", created=NOW, guests=guests, **fields)


def only(manifest, answer="running"):
    (guest,) = gather(manifest, ask=lambda _: answer).guests
    return guest


def test_running_guest(record):
    guest = only(lab(record))
    assert (guest.state, guest.pid, guest.exit_code, guest.how) == (
        "running",
        os.getpid(),
        None,
        None,
    )
    assert guest.uptime > 0
    assert guest.log_tail == ()
    assert only(lab(record), "paused").state == "paused"


def test_panicked_guest(record):
    panicked = replace(record, panicked=NOW)
    assert only(lab(panicked)).state == "panicked"
    assert only(lab(panicked), "busy").state == "panicked"
    assert only(lab(panicked), "paused").state == "paused"


def test_ended_guest_has_last_lines_without_control_characters(record):
    ended = replace(
        record,
        process=ProcessRef(pid=1 << 22, start_time=1),
        exit=ExitRecord(code=1, time=NOW, log_tail=()),
    )
    guest = only(lab(ended))
    assert (guest.state, guest.uptime, guest.how) == ("ended", None, "ended with exit code 1")
    assert guest.log_tail == ("one", "two")
    assert gather(lab(ended)).state == "stopped"


def test_nobody_saw_the_end(record):
    gone = replace(record, process=ProcessRef(pid=1 << 22, start_time=1))
    assert only(lab(gone)).how == "ended, nobody saw how"


def test_replaced_ram_file_is_gone(record, tmp_path):
    (tmp_path / "new").write_bytes(bytes(4096))
    (tmp_path / "new").replace(record.ram.path)
    assert not only(lab(record)).ram_kept


def test_link_and_launcher(record):
    me, nobody = ProcessRef.of(os.getpid()), ProcessRef(pid=1 << 22, start_time=1)
    link = LinkRecord(shared_page="/p", server=nobody, socket="/s")
    status = gather(lab(record, link=link, launcher=me), ask=lambda _: "running")
    assert status.launcher_runs
    assert not status.link.server_runs
    assert status.to_json()["guests"][0]["name"] == "qemu1"


def test_in_a_pipe_no_line_ends_in_blanks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    TableConsole().print(LabView(LAB, NOW))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if line != line.rstrip()] == []
