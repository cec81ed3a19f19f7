# SPDX-License-Identifier: MIT
"""Guests that somebody else started: attached to, looked at, never touched unless allowed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import ntbdbg as api
from ntbdbg.analysis.debugger import Debugger
from ntbdbg.errors import RefusedError, TargetError
from ntbdbg.lab.manifest import Manifest, ProcessRef
from ntbdbg.lab.sources.attaching import attach
from ntbdbg.lab.sources.hostguests import HostGuest, HostMonitor
from ntbdbg.memory.layout import qemu_segments
from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.fakelinux import furnish
from tests.support.fakemachine import FakeMachine
from tests.support.fakeqmp import FakeQmp

MIB = 1 << 20
Start = Callable[..., FakeMachine]

WEB = f"web1-{os.getpid()}"
"""Guests of this host are found by their names; another run of these tests has others."""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without labs."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts guests whose first page is 0x53 0xff 0x00 0xf0, their name, zeros."""
    with ExitStack() as stack:

        def start(name: str, *options: str, size: int = 4 * MIB, **how: Any) -> FakeMachine:
            ram = tmp_path / f"{name}.ram"
            ram.write_bytes((b"\x53\xff\x00\xf0" + name.encode()).ljust(size, b"\0"))
            return stack.enter_context(FakeMachine(tmp_path, name, ram, *options, **how))

        yield start


def found(machine: FakeMachine, name: str | None = WEB, **changes: Any) -> HostGuest:
    start_time = ProcessRef.of(machine.pid).start_time
    guest = HostGuest(name, None, machine.pid, start_time, 0, "tcg", 4 * MIB, (), None, True)
    return guest._replace(**changes)


@pytest.mark.parametrize("kind", ["memfd", "file", "deleted"])
def test_a_guest_in_a_file_with_or_without_a_path(
    runtime: Path, start: Start, ntbdbg: Run, kind: str
) -> None:
    machine = start(WEB, kind=kind)
    done = ntbdbg("attach", WEB, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["lab"], told["may"]) == (WEB, [])
    assert told["path"] == str(runtime / f"ntbdbg/{WEB}/run.json")
    assert [(one["name"], one["pid"]) for one in told["guests"]] == [(WEB, machine.pid)]
    assert f"{WEB} offers no monitor (QMP), so registers and run state are not known" in done.stderr
    assert "web1" in ntbdbg("dump", WEB, "4", "4").stdout
    assert ntbdbg("dump", WEB, "0xa0000", "1").returncode == 4
    info = json.loads(ntbdbg("info", "--json").stdout)
    assert info["guests"][0]["state"] == "alive"
    [listed] = [
        one
        for one in json.loads(ntbdbg("guests", "--json").stdout)["guests"]
        if one["pid"] == machine.pid
    ]
    assert (listed["name"], listed["lab"]) == (WEB, WEB)
    assert ntbdbg("detach").stdout == f"lab {WEB!r} is forgotten\n"
    assert not (runtime / f"ntbdbg/{WEB}").exists()
    assert machine.process.poll() is None


def test_once_and_nothing_is_written(runtime: Path, start: Start, ntbdbg: Run) -> None:
    machine = start(WEB)
    for which in (WEB, str(machine.pid), f"pid:{machine.pid}"):
        done = ntbdbg("--from", which, "dump", WEB, "4", "4")
        assert "web1" in done.stdout, done.stderr
    assert list(runtime.iterdir()) == []
    frozen = ntbdbg("--from", WEB, "freeze")
    assert frozen.returncode == 1
    assert f"somebody else started {WEB}, so it is not stopped or continued" in frozen.stderr
    missing = ntbdbg("--from", f"{WEB}-not", "info")
    assert missing.returncode == 3
    assert "no such file or folder, and no such guest runs here" in missing.stderr


def test_a_file_wins_over_a_guest_of_its_name(
    runtime: Path, start: Start, ntbdbg: Run, tmp_path: Path
) -> None:
    machine = start(WEB)
    (tmp_path / WEB).write_bytes(b"\x53\xff\0\xf0file".ljust(MIB, b"\0"))
    done = ntbdbg("--from", WEB, "dump", WEB, "4", "4", cwd=tmp_path)
    assert "file" in done.stdout
    done = ntbdbg("--from", f"pid:{machine.pid}", "dump", WEB, "4", "4", cwd=tmp_path)
    assert "web1" in done.stdout


def test_the_linux_inside(runtime: Path, tmp_path: Path, ntbdbg: Run) -> None:
    guest = FakeGuest()
    furnish(WEB, guest)
    ram = tmp_path / "ram"
    guest.save(ram)
    with FakeMachine(tmp_path, WEB, ram):
        assert "init" in ntbdbg("--from", WEB, "ps", WEB).stdout


def test_two_guests_make_one_lab(runtime: Path, start: Start, ntbdbg: Run) -> None:
    start(f"{WEB}-one")
    start(f"{WEB}-two", kind="file")
    assert ntbdbg("attach", f"{WEB}-one", f"{WEB}-two", "--name", "pair").returncode == 0
    done = ntbdbg("diff", f"{WEB}-one", f"{WEB}-two", "0", "4K")
    assert done.returncode == 1
    assert "--lab" not in done.stderr


def test_nothing_is_stopped_or_changed_unless_that_is_allowed(
    runtime: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = start(WEB, kind="file")
    monkeypatch.setattr("ntbdbg.analysis.debugger.find_gdb", lambda: "gdb")
    manifest = attach([found(machine)], WEB, lambda text: None)
    manifest.save(runtime / f"ntbdbg/{WEB}/run.json")
    before = (tmp_path / f"{WEB}.ram").read_bytes()
    with api.open(lab=WEB) as lab:
        guest = lab[WEB]
        deeds: list[Callable[[], object]] = [
            lab.freeze,
            lab.resume,
            lambda: lab.frozen().__enter__(),
            lambda: guest.patch(0x1000, "u8:1"),
            lambda: guest.write(0x1000, b"x"),
            lambda: guest.memory.write(0x1000, b"x"),
            lab.undo,
            lambda: Debugger(guest),
        ]
        for deed in deeds:
            with pytest.raises(RefusedError, match=f"somebody else started {WEB}, so it is not"):
                deed()
    assert (tmp_path / f"{WEB}.ram").read_bytes() == before


def test_what_is_allowed_is_done(runtime: Path, start: Start, tmp_path: Path, ntbdbg: Run) -> None:
    start(WEB, kind="file")
    assert ntbdbg("attach", WEB, "--write").returncode == 0
    assert ntbdbg("patch", WEB, "0x1000", "u8:7").returncode == 0
    assert (tmp_path / f"{WEB}.ram").read_bytes()[0x1000] == 7
    assert ntbdbg("undo").returncode == 0
    assert (tmp_path / f"{WEB}.ram").read_bytes()[0x1000] == 0


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sockets, whose paths may not be long."""
    return tmp_path_factory.mktemp("q")


def test_a_monitor_is_asked_and_nothing_is_left_beside_it(
    runtime: Path, start: Start, short: Path, ntbdbg: Run
) -> None:
    qmp = FakeQmp(short / "m")
    try:
        start(WEB, "-qmp", f"unix:{qmp.path},server=on,wait=off")
        done = ntbdbg("attach", WEB, "--may", "freeze")
        assert done.returncode == 0, done.stderr
        assert "stop" not in qmp.log
        assert json.loads(ntbdbg("info", "--json").stdout)["guests"][0]["state"] == "running"
        assert ntbdbg("freeze").returncode == 0
        assert qmp.status == "paused"
        held = ntbdbg("detach")
        assert held.returncode == 3
        assert f"first let them run: ntbdbg --lab {WEB} resume" in held.stderr
        assert ntbdbg("resume").returncode == 0
        assert qmp.status == "running"
        assert [one.name for one in short.iterdir()] == ["m"]
    finally:
        qmp.close()


def test_a_capture_of_it_goes_without_stopping_it(
    runtime: Path, start: Start, tmp_path: Path, ntbdbg: Run
) -> None:
    start(WEB)
    assert ntbdbg("attach", WEB).returncode == 0
    refused = ntbdbg("capture", tmp_path / "x.cap")
    assert refused.returncode == 1
    assert "--no-freeze" in refused.stderr
    assert ntbdbg("capture", tmp_path / "x.cap", "--no-freeze").returncode == 0
    with api.open(tmp_path / "x.cap") as lab:
        assert lab[WEB].read(4, 4) == WEB[:4].encode()
        assert lab.manifest is not None
        assert not lab.manifest.is_attached


# -- where its RAM lies ------------------------------------------------------------------------


def segments(manifest: Manifest) -> list[tuple[int, int, int]]:
    return [(one.gpa, one.size, one.offset) for one in manifest.guests[0].ram.segments]


def test_by_the_rule_of_its_machine(runtime: Path, start: Start) -> None:
    machine = start(WEB)
    manifest = attach([found(machine)], WEB, lambda text: None)
    assert segments(manifest) == list(qemu_segments("q35", 4 * MIB))
    assert manifest.guests[0].machine == "q35"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("-machine microvm,memory-backend=ram", "nothing tells where its RAM lies"),
        ("-machine q35,memory-backend=ram,max-ram-below-4g=1M", "nothing tells where its RAM lies"),
        ("-machine q35,memory-backend=ram,memory-encryption=sev0", "confidential guest"),
        ("-machine q35 -numa node,memdev=ram -numa node,memdev=ram", "in 2 pieces"),
        ("-machine q35,memory-backend=absent", "lies in the memory of QEMU itself"),
    ],
)
def test_what_cannot_be_attached_to_is_told(
    runtime: Path, start: Start, options: str, reason: str
) -> None:
    machine = start(WEB, *options.split())
    with pytest.raises(TargetError, match=reason):
        attach([found(machine)], WEB, lambda text: None)


def test_a_private_file_is_not_taken_for_its_memory(runtime: Path, start: Start) -> None:
    machine = start(WEB, kind="private")
    with pytest.raises(TargetError, match=r"is mapped privately \(share=off\)"):
        attach([found(machine)], WEB, lambda text: None)


def test_another_architecture_is_named(tmp_path: Path, runtime: Path) -> None:
    ram = tmp_path / "ram"
    ram.write_bytes(bytes(MIB))
    with FakeMachine(tmp_path, "arm", ram) as machine:
        program = tmp_path / "qemu-system-x86_64"
        program.rename(tmp_path / "qemu-system-aarch64")
        with pytest.raises(TargetError, match="a guest of qemu-system-aarch64"):
            attach([found(machine)], "arm", lambda text: None)


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        (HostMonitor("unix", "/x", held=True, libvirt=True), "its monitor belongs to libvirt"),
        (HostMonitor("unix", "/x", held=True), "its monitor is in use"),
        (HostMonitor("tcp", "localhost:1"), "its monitor, localhost:1, is not reached from here"),
    ],
)
def test_a_monitor_that_is_not_ours_to_ask(
    runtime: Path, start: Start, monitor: HostMonitor, words: str
) -> None:
    told: list[str] = []
    machine = start(WEB)
    manifest = attach([found(machine, monitor=monitor)], WEB, told.append)
    assert words in told[0]
    assert manifest.guests[0].qmp == ""


# -- names -------------------------------------------------------------------------------------


def test_several_need_a_name(runtime: Path, start: Start, ntbdbg: Run) -> None:
    first, second = start(f"{WEB}-a"), start(f"{WEB}-b")
    done = ntbdbg("attach")
    assert done.returncode == 2
    assert f"{WEB}-a (pid {first.pid})" in done.stderr
    assert f"{WEB}-b (pid {second.pid})" in done.stderr


def test_a_lab_of_the_launcher_is_not_replaced_or_forgotten(
    lab: FakeLab, start: Start, ntbdbg: Run
) -> None:
    start(WEB)
    done = ntbdbg("attach", WEB, "--name", "default", env=lab.environ)
    assert done.returncode == 2
    assert "there is a lab 'default' already" in done.stderr
    done = ntbdbg("detach", "default", env=lab.environ)
    assert done.returncode == 2
    assert "'python3 run stop' ends those it started" in done.stderr
    assert lab.path.exists()


def test_a_name_that_no_lab_can_have(runtime: Path, start: Start) -> None:
    machine = start("x")
    manifest = attach([found(machine, name="../e\x1b")], "lab", lambda text: None)
    assert manifest.guests[0].name == f"pid{machine.pid}"
    manifest = attach([found(machine, name="a b/c")], "lab", lambda text: None)
    assert manifest.guests[0].name == "a_b_c"
    with pytest.raises(TargetError, match="two guests are called"):
        attach([found(machine), found(machine)], "lab", lambda text: None)
