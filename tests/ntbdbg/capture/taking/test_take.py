# SPDX-License-Identifier: MIT
"""Taking captures of labs whose monitors are fakes: what is in them, and what failures leave."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ntbdbg
from ntbdbg.capture.taking import making, swap, take
from ntbdbg.capture.taking.take import Options, Taken
from ntbdbg.cli.main import main
from ntbdbg.errors import NtbdbgError, QmpError, TargetError, UsageError
from ntbdbg.lab import frozenmark
from ntbdbg.lab.manifest import Manifest
from ntbdbg.ntb import settle
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab
from tests.support.linkedlab import LinkedLab

MIB = 1 << 20


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedLab]:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        lab.poke("qemu1", 0x1000, b"one")
        lab.poke("qemu2", 0x2000, b"two")
        (lab.folder / "qemu1.console").write_bytes(b"x" * (300 << 10) + b"Kernel panic\n")
        yield lab


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "captures"
    folder.mkdir()
    return folder / "x.cap"


def capture(path: Path, **options: object) -> Taken:
    with ntbdbg.open() as lab:
        return take.take(
            lab, str(path), Options(**options), lambda label: lambda done, total: None, "test 1"
        )  # type: ignore[arg-type]


def status(lab: FakeLab) -> list[str]:
    return [server.status for server in lab.qmp.values()]


def run_json(path: Path) -> dict:
    return json.loads((path / "run.json").read_bytes())


def test_what_is_in_it(linked: LinkedLab, out: Path) -> None:
    taken = capture(out, reason="a test")
    assert sorted(os.listdir(out)) == [
        "checksums.json",
        "page.bin",
        "qemu1.console",
        "qemu1.ram",
        "qemu2.ram",
        "run.json",
    ]
    for name in ("qemu1", "qemu2"):
        assert (out / f"{name}.ram").read_bytes() == linked.ram_path(name).read_bytes()
    assert (out / "page.bin").read_bytes() == linked.page.read_bytes()
    assert len((out / "qemu1.console").read_bytes()) == 256 << 10
    assert (out / "qemu1.console").read_bytes().endswith(b"xKernel panic\n")
    data = run_json(out)
    assert data["capture"]["version"] == 1
    assert data["capture"]["reason"] == "a test"
    assert data["capture"]["program"] == "test 1"
    assert data["capture"]["consistent"] is True
    assert data["capture"]["standstill"] > 0
    assert data["capture"]["started"] < data["capture"]["moment"]
    one = data["guests"][0]
    assert (one["state"], one["ram"]["path"], one["process"]) == ("running", "qemu1.ram", None)
    assert [cpu["index"] for cpu in one["vcpus"]] == [0]
    assert one["vcpus"][0]["registers"]["rip"] == 0xFFFFFFFF81E3F7AB
    assert Manifest.from_json(data) == taken.manifest
    assert status(linked) == ["running", "running"]
    assert frozenmark.read(linked.folder) is None


def test_nothing_of_this_host_is_in_it(linked: LinkedLab, out: Path) -> None:
    capture(out)
    text = (out / "run.json").read_text()
    assert str(linked.root) not in text
    assert str(os.getpid()) not in re.findall(r'"pid": (\d+)', text)[:-1], "only the server's"


def test_nobody_else_may_read_it(linked: LinkedLab, out: Path) -> None:
    capture(out)
    assert out.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in out.iterdir()} == {0o600}
    packed = out.with_name("y.cap")
    capture(packed, pack=True)
    assert packed.stat().st_mode & 0o777 == 0o600


def test_what_is_written_up_to_the_stop_is_in_it(linked: LinkedLab, out: Path) -> None:
    def at_the_last_moment(command: str) -> None:
        if command == "stop":
            linked.poke("qemu1", 5 * MIB, b"late")
            linked.poke("qemu2", 0x2000, b"TWO")

    linked.qmp["qemu2"].before = at_the_last_moment
    taken = capture(out)
    assert taken.changed == 2 * 4096
    for name in ("qemu1", "qemu2"):
        assert (out / f"{name}.ram").read_bytes() == linked.ram_path(name).read_bytes()


def test_registers_are_taken_between_stop_and_cont(linked: LinkedLab, out: Path) -> None:
    capture(out)
    for server in linked.qmp.values():
        log = [c for c in server.log if c in ("stop", "human-monitor-command", "cont")]
        assert log == ["stop", "human-monitor-command", "cont"]


def test_only_some_guests_are_kept_but_all_are_stopped(linked: LinkedLab, out: Path) -> None:
    capture(out, guests=["qemu2"])
    assert [guest["name"] for guest in run_json(out)["guests"]] == ["qemu2"]
    assert not (out / "qemu1.ram").exists()
    assert "stop" in linked.qmp["qemu1"].log
    with ntbdbg.open(out) as lab:
        assert lab["qemu2"].read(0x2000, 3) == b"two"


def test_a_paused_and_a_panicked_guest_stay_so(linked: LinkedLab, out: Path) -> None:
    linked.qmp["qemu1"].status = "paused"
    linked.qmp["qemu2"].status = "guest-panicked"
    capture(out)
    assert [guest["state"] for guest in run_json(out)["guests"]] == ["paused", "guest-panicked"]
    assert [len(guest["vcpus"]) for guest in run_json(out)["guests"]] == [1, 1]
    assert run_json(out)["capture"]["standstill"] == 0
    assert status(linked) == ["paused", "guest-panicked"]


def test_registers_that_cannot_be_had_are_a_note(linked: LinkedLab, out: Path) -> None:
    linked.qmp["qemu1"].registers = "who knows"
    capture(out)
    data = run_json(out)
    assert [len(guest["vcpus"]) for guest in data["guests"]] == [0, 1]
    assert data["capture"]["notes"] == [
        "no registers: qemu1: QEMU's 'info registers -a' is not understood"
    ]


def test_without_freezing_nobody_is_asked(linked: LinkedLab, out: Path) -> None:
    for server in linked.qmp.values():
        server.mute = True
    capture(out, freeze=False)
    data = run_json(out)
    assert data["capture"]["consistent"] is False
    assert [guest["state"] for guest in data["guests"]] == ["unknown", "unknown"]


def test_dead_guests_are_their_ram_alone(tmp_path: Path, out: Path) -> None:
    with FakeLab(tmp_path / "dead", live=False) as fake:
        fake.poke("qemu1", 0, b"left")
        with ntbdbg.open(fake.path) as lab:
            take.take(lab, str(out), Options(), lambda label: lambda done, total: None, "")
    data = run_json(out)
    assert [(g["state"], g["vcpus"]) for g in data["guests"]] == [("dead", []), ("dead", [])]
    assert data["capture"]["consistent"] is True
    with ntbdbg.open(out) as lab:
        assert lab["qemu1"].read(0, 4) == b"left"


def test_one_dead_guest_beside_a_live_one(linked: LinkedLab, out: Path) -> None:
    linked.edit("qemu2", process=None)
    capture(out)
    data = run_json(out)
    assert [guest["state"] for guest in data["guests"]] == ["running", "dead"]
    assert [len(guest["vcpus"]) for guest in data["guests"]] == [1, 0]
    assert linked.qmp["qemu2"].log == []


def test_a_guest_without_ram_is_left_out(linked: LinkedLab, out: Path) -> None:
    linked.ram_path("qemu2").unlink()
    with ntbdbg.open() as lab:
        take.take(lab, str(out), Options(), lambda label: lambda done, total: None, "")
        assert any(note.startswith("left out: qemu2: RAM file") for note in lab.notes)
    assert [guest["name"] for guest in run_json(out)["guests"]] == ["qemu1"]
    with pytest.raises(TargetError, match="qemu2: RAM file"):
        capture(out.with_name("y.cap"), guests=["qemu2"])


def test_bare_ram_files(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    ram = tmp_path / "guest"
    ram.write_bytes(b"bare" + bytes(MIB - 4))
    capture(out, guests=[str(ram)])
    data = run_json(out)
    assert data["capture"]["consistent"] is False
    with ntbdbg.open(out) as lab:
        assert lab.names == ("guest",)
        assert lab["guest"].read(0, 4) == b"bare"
        with pytest.raises(NtbdbgError, match="VGA hole"):
            lab["guest"].read(0xA0000, 1)


def test_a_page_that_never_rests_is_taken_and_told(
    linked: LinkedLab, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "LIMIT", 0.02)
    linked.switch.port(1).kick_pending = 1
    linked.publish()
    capture(out)
    note = "the shared page still moved when all guests stood still"
    assert run_json(out)["capture"]["notes"] == [note]
    assert (out / "page.bin").read_bytes() == linked.page.read_bytes()


def test_without_its_page_the_rest_is_captured(linked: LinkedLab, out: Path) -> None:
    linked.page.unlink()
    capture(out)
    data = run_json(out)
    assert data["link"] is None
    assert "shared page" in data["capture"]["notes"][0]


# -- names, room and failures ----------------------------------------------------------


def leftovers(out: Path) -> list[str]:
    return os.listdir(out.parent)


@pytest.mark.parametrize(
    ("name", "why"), [("x", "captures end in .cap: .*/x.cap"), (".cap", "cannot be the name")]
)
def test_a_name_that_is_none(linked: LinkedLab, out: Path, name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        capture(out.with_name(name))


def test_what_is_there_is_not_replaced_unasked(linked: LinkedLab, out: Path) -> None:
    capture(out)
    with pytest.raises(UsageError, match="exists already; give another name, or --force"):
        capture(out)
    linked.poke("qemu1", 0x1000, b"new")
    for pack in (True, False):
        capture(out, replace=True, pack=pack)
        with ntbdbg.open(out) as lab:
            assert lab["qemu1"].read(0x1000, 3) == b"new"
        assert leftovers(out) == ["x.cap"]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("in_one_step", [True, False])
def test_the_old_capture_is_there_whatever_happens_to_the_new_one(
    linked: LinkedLab, out: Path, monkeypatch: pytest.MonkeyPatch, pack: bool, in_one_step: bool
) -> None:
    """Wherever it fails, even where it is killed, a whole capture has the name or one beside it."""
    capture(out)
    linked.poke("qemu1", 0x1000, b"new")
    if not in_one_step:
        monkeypatch.setattr(swap, "_exchange", cannot_exchange)
    real = os.rename

    def rename(source: str, target: str) -> None:
        if os.fspath(target) == os.fspath(out) and ".part" in os.fspath(source):
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", rename)
        if in_one_step:
            patched.setattr(swap, "_exchange", cannot_write)
        with pytest.raises(TargetError, match="Input/output error"):
            capture(out, replace=True, pack=pack)
    with ntbdbg.open(out) as lab:
        assert lab["qemu1"].read(0x1000, 3) == b"one"
    assert leftovers(out) == ["x.cap"]
    capture(out, replace=True, pack=pack)
    with ntbdbg.open(out) as lab:
        assert lab["qemu1"].read(0x1000, 3) == b"new"
    assert leftovers(out) == ["x.cap"]


def cannot_exchange(a: str, b: str) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), a)


def cannot_write(a: str, b: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), a)


@pytest.mark.parametrize("in_one_step", [True, False])
def test_two_names_are_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool
) -> None:
    if not in_one_step:
        monkeypatch.setattr(swap, "_exchange", cannot_exchange)
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    (a / "x").write_bytes(b"a")
    b.write_bytes(b"b")
    swap.swap(os.fspath(a), os.fspath(b))
    assert (a.read_bytes(), (b / "x").read_bytes()) == (b"b", b"a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    with pytest.raises(OSError, match="No such file"):
        swap.swap(os.fspath(tmp_path / "none"), os.fspath(b))
    assert (b / "x").read_bytes() == b"a"


def test_only_captures_are_replaced(linked: LinkedLab, out: Path) -> None:
    out.mkdir()
    (out / "precious").touch()
    with pytest.raises(UsageError, match="is no capture, so it is not replaced"):
        capture(out, replace=True)
    assert (out / "precious").exists()


def test_room_is_looked_for_first(
    linked: LinkedLab, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "MARGIN", 1 << 60)
    with pytest.raises(TargetError, match=r"has no room for the capture: \d+ MiB are needed"):
        capture(out)
    assert leftovers(out) == []
    assert linked.qmp["qemu1"].log == []


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("nth", range(1, 8))
def test_a_disk_that_gets_full_leaves_nothing(
    linked: LinkedLab, out: Path, monkeypatch: pytest.MonkeyPatch, nth: int, pack: bool
) -> None:
    """Whichever write it is that fails: RAM before or during the standstill, page, records."""
    real, count = os.pwrite, 0
    plain = os.write

    def counted(write, fd: int, *rest):  # type: ignore[no-untyped-def]
        nonlocal count
        target = os.readlink(f"/proc/self/fd/{fd}")
        if "captures" in target:
            count += 1
            if count >= nth:
                raise OSError(28, "No space left on device")
        return write(fd, *rest)

    monkeypatch.setattr(os, "pwrite", lambda *a: counted(real, *a))
    monkeypatch.setattr(os, "write", lambda *a: counted(plain, *a))
    try:
        capture(out, pack=pack)
    except TargetError as error:
        assert "No space left on device" in error.message
        assert error.hint
        assert leftovers(out) == []
    else:
        assert leftovers(out) == ["x.cap"]
    assert status(linked) == ["running", "running"]
    assert frozenmark.read(linked.folder) is None


def test_a_guest_that_cannot_be_stopped(linked: LinkedLab, out: Path) -> None:
    linked.qmp["qemu2"].refuse["stop"] = "no"
    with pytest.raises(QmpError, match="qemu2: QEMU refuses stop"):
        capture(out)
    assert leftovers(out) == []
    assert status(linked) == ["running", "running"]


def test_a_ram_file_that_vanishes(linked: LinkedLab, out: Path) -> None:
    def vanish(command: str) -> None:
        if command == "stop":
            linked.ram_path("qemu1").unlink()

    linked.qmp["qemu2"].before = vanish
    with pytest.raises(TargetError, match=r"qemu1: RAM file .* does not exist"):
        capture(out)
    assert leftovers(out) == []
    assert status(linked) == ["running", "running"]


AT_STOP = """
import os, sys
from ntbdbg.cli.main import main
from ntbdbg.capture.taking import subject
def pause(*_, **__):
    print("frozen", flush=True)
    import time
    time.sleep(60)
subject.PageCopy.taken = pause
sys.exit(main(["capture", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_signals_while_guests_stand_still(
    linked: LinkedLab, out: Path, ntbdbg: Run, number: signal.Signals, code: int
) -> None:
    argv = [sys.executable, "-c", AT_STOP, str(out)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "frozen\n"
        run.send_signal(number)
        run.communicate(timeout=30)
    assert run.returncode == code
    if number != signal.SIGKILL:
        assert status(linked) == ["running", "running"]
        assert leftovers(out) == []
        return
    assert status(linked) == ["paused", "paused"]
    assert len(leftovers(out)) == 1
    assert ntbdbg("resume").returncode == 0
    assert status(linked) == ["running", "running"]
    assert ntbdbg("capture", out).returncode == 0
    assert leftovers(out) == ["x.cap"]


def test_what_another_capture_is_working_on_is_left_alone(linked: LinkedLab, out: Path) -> None:
    with making.Making(str(out)) as other:
        stale = out.parent / ".x.cap.1.part"
        stale.mkdir()
        os.rename(other.folder, out.parent / ".x.cap.2.part")
        other.folder = str(out.parent / ".x.cap.2.part")
        capture(out)
        assert sorted(leftovers(out)) == [".x.cap.2.part", "x.cap"]


def test_a_capture_of_a_capture_is_refused(linked: LinkedLab, out: Path) -> None:
    capture(out)
    with ntbdbg.open(out) as lab, pytest.raises(TargetError, match="is a capture: it stands still"):
        take.take(lab, str(out.with_name("y.cap")), Options(), lambda _: lambda *_: None, "")


def test_the_command_tells_what_it_took(
    linked: LinkedLab, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", str(out)]) == 0
    captured = capsys.readouterr()
    assert re.fullmatch(
        rf"{out}: qemu1, qemu2 and the shared page, [\d.]+ MiB on disk; guests stood still for "
        r"\d+ ms\n",
        captured.out,
    )
    assert main(["capture", str(out), "--force", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "capture"
    assert facts["guests"] == [
        {"name": "qemu1", "state": "running", "vcpus": 1},
        {"name": "qemu2", "state": "running", "vcpus": 1},
    ]
