# SPDX-License-Identifier: MIT
"""ntbdbg gdb: how gdb is started on a guest, and how it leaves; gdb itself is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.errors import TargetError
from ntbdbg.lab.gdbmark import debugger_of, held, mark_of
from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab

STAND_IN = """#!{python}
import json, os, shutil, signal, sys
argv = sys.argv[1:]
script = argv[argv.index("-x") + 1]
files = [word for word in argv if os.path.isfile(word) and word != script]
sizes = [os.path.getsize(file) for file in files]
with open({told!r}, "w") as file:
    json.dump(dict(argv=argv, script=open(script).read(), sizes=sizes), file)
if "--die" in argv:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(7 if "--fail" in argv else 0)
"""


class Stubs:
    """QEMU's gdbstub of the fake lab's guests: what its monitors are told of it."""

    def __init__(self, lab: FakeLab) -> None:
        self.asked: list[str] = []
        self.answer = "Waiting for gdb connection on device 'unix:x'"
        for qmp in lab.qmp.values():
            qmp.answers["gdbserver"] = self._answer

    def _answer(self, line: str) -> str:
        self.asked.append(line)
        return self.answer if line != "gdbserver none" else "Disabled gdbserver"


@pytest.fixture
def stubs(lab: FakeLab) -> Stubs:
    FakeGuest().save(lab.ram_path("qemu1"))
    return Stubs(lab)


@pytest.fixture
def gdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for gdb, first in PATH; gives where it tells how it was called."""
    folder, told = tmp_path / "bin", tmp_path / "told.json"
    folder.mkdir()
    (folder / "gdb").write_text(STAND_IN.format(python=sys.executable, told=str(told)))
    (folder / "gdb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return told


def socket_of(lab: FakeLab, guest: str) -> str:
    return lab.manifest.guest(guest).qmp + ".stub"


def test_gdb_gets_the_kernel_and_the_stub(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run
) -> None:
    done = ntbdbg("gdb", "qemu1", "--", "-batch", "-ex", "bt")
    assert done.returncode == 0, done.stderr
    told = json.loads(gdb.read_text())
    assert told["argv"][0] == "-q"
    assert told["argv"][-3:] == ["-batch", "-ex", "bt"], "what the user wants comes last"
    assert told["sizes"][0] > 5000, "the kernel's file"
    path = socket_of(lab, "qemu1")
    assert told["script"].endswith(f"target remote {path}\n")
    assert stubs.asked == [f"gdbserver unix:{path},server=on,wait=off", "gdbserver none"]
    assert "symbols" in done.stderr
    assert not Path(told["argv"][1]).exists(), "the file is gone with gdb"
    assert debugger_of(lab.manifest.guest("qemu1")) is None


@pytest.mark.parametrize(
    ("before", "left", "after"),
    [("running", "paused", "running"), ("paused", "paused", "paused"),
     ("paused", "running", "paused"), ("running", "running", "running")],
)  # fmt: skip
def test_the_guest_runs_or_stands_still_as_before(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run, before: str, left: str, after: str
) -> None:
    qmp = lab.qmp["qemu1"]
    qmp.status = before

    def stub(line: str) -> str:
        qmp.status = left
        return stubs._answer(line)

    qmp.answers["gdbserver"] = stub
    assert ntbdbg("gdb", "qemu1").returncode == 0
    assert qmp.status == after


def test_the_exit_code_tells_that_gdb_failed(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run
) -> None:
    done = ntbdbg("gdb", "qemu1", "--", "--fail")
    assert done.returncode == 1
    assert "gdb ended with 7" in done.stderr


@pytest.fixture
def listener(lab: FakeLab) -> Iterator[list[bytes]]:
    """Who listens at the stub's socket, and what is said to it."""
    heard: list[bytes] = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(socket_of(lab, "qemu1"))
    server.listen()

    def serve() -> None:
        with server.accept()[0] as client:
            heard.append(client.recv(64))
            client.sendall(b"+$OK#9a")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield heard
    server.close()
    thread.join(5)


def test_breakpoints_of_a_gdb_that_was_killed_are_taken_back(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run, listener: list[bytes]
) -> None:
    done = ntbdbg("gdb", "qemu1", "--", "--die")
    assert done.returncode == 1
    assert f"gdb was ended by signal {int(signal.SIGKILL)}" in done.stderr
    assert listener == [b"+$D;1#b0"], "the packet by which a debugger leaves"
    assert stubs.asked[-1] == "gdbserver none"


def test_debug_information_of_the_kernel_is_added(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run, tmp_path: Path
) -> None:
    from tests.support import fakevmlinux

    path = fakevmlinux.build(tmp_path, "void _stext(void) {}", "-g")
    done = ntbdbg("gdb", "qemu1", "--symbols", path)
    assert done.returncode == 0, done.stderr
    script = json.loads(gdb.read_text())["script"]
    assert f"add-symbol-file {path} -o 0x1c000000\n" in script


def test_a_guest_without_linux_is_debugged_all_the_same(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run
) -> None:
    done = ntbdbg("gdb", "qemu2")
    assert done.returncode == 0
    assert "qemu2: gdb knows nothing of its kernel: " in done.stderr
    assert json.loads(gdb.read_text())["sizes"] == []


# -- what cannot be --------------------------------------------------------------------------


def test_one_debugger_at_a_time(lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run) -> None:
    with held(lab.manifest.guest("qemu1")):
        done = ntbdbg("gdb", "qemu1")
        assert done.returncode == 3
        assert f"gdb (process {os.getpid()}) holds qemu1 already" in done.stderr
        assert stubs.asked == []
    assert ntbdbg("gdb", "qemu1").returncode == 0


def test_a_mark_of_nobody_holds_nothing(lab: FakeLab) -> None:
    record = lab.manifest.guest("qemu1")
    for text in ("", "{", '{"pid": 1}', json.dumps({"pid": 1 << 22, "start_time": 1})):
        mark_of(record).write_text(text)
        assert debugger_of(record) is None
    with held(record):
        assert debugger_of(record) is not None
        with pytest.raises(TargetError, match="holds qemu1 already"), held(record):
            pass


@pytest.mark.parametrize("may", [(), ("freeze",), ("write",)])
def test_what_somebody_else_started_must_be_allowed(
    lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run, may: tuple[str, ...]
) -> None:
    lab.edit(may=may)
    done = ntbdbg("gdb", "qemu1")
    assert done.returncode == 1
    assert "somebody else started qemu1 and qemu2" in done.stderr
    assert stubs.asked == []


def test_qemu_that_opens_no_stub(lab: FakeLab, stubs: Stubs, gdb: Path, ntbdbg: Run) -> None:
    stubs.answer = "Could not open gdbserver on device 'unix:x'"
    done = ntbdbg("gdb", "qemu1")
    assert done.returncode == 3
    assert "qemu1: QEMU opens no gdbstub at " in done.stderr
    assert "Could not open gdbserver" in done.stderr
    assert not gdb.exists()


def test_no_gdb_is_installed(
    lab: FakeLab, stubs: Stubs, ntbdbg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = ntbdbg("gdb", "qemu1")
    assert done.returncode == 3
    assert "no gdb is installed; 'apt-get install gdb' does that" in done.stderr


@pytest.mark.parametrize("words", [["qemu1", "--json"], []])
def test_usage(lab: FakeLab, ntbdbg: Run, words: list[str]) -> None:
    assert ntbdbg("gdb", *words).returncode == 2


def test_a_file_is_no_running_guest(lab: FakeLab, gdb: Path, ntbdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "bare.ram").write_bytes(bytes(1 << 20))
    done = ntbdbg("gdb", tmp_path / "bare.ram")
    assert done.returncode == 3
    assert "is no running guest of a lab" in done.stderr


# -- what the lab knows of it ----------------------------------------------------------------


def test_info_and_resume_know_who_holds_a_guest(lab: FakeLab, ntbdbg: Run) -> None:
    with held(lab.manifest.guest("qemu1")):
        shown = ntbdbg("info")
        assert f"gdb: process {os.getpid()} holds qemu1" in shown.stdout
        facts: dict[str, Any] = json.loads(ntbdbg("info", "--json").stdout)
        assert [one["debugger"] for one in facts["guests"]] == [os.getpid(), None]
        lab.qmp["qemu1"].status = lab.qmp["qemu2"].status = "paused"
        assert ntbdbg("resume", "qemu1").returncode == 3
        done = ntbdbg("resume")
        assert f"gdb (process {os.getpid()}) holds qemu1" in done.stderr
    assert (lab.qmp["qemu1"].status, lab.qmp["qemu2"].status) == ("paused", "running")
    assert "gdb: " not in ntbdbg("info").stdout
