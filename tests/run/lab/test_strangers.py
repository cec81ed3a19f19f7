# SPDX-License-Identifier: MIT
"""What other users of the host leave in the launcher's way, and what they get of ours: nothing."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntbdbg.lab.manifest import ProcessRef
from run.base import processes
from run.base.errors import RunError
from run.lab import choose as labs
from run.lab import lockholder
from run.lab import stop as stopping
from run.lab.lockholder import lock_holder
from run.lab.name import take_lock
from run.vm import ram
from tests.run.conftest import Launcher
from tests.support.fakelab import FakeLab
from tests.support.fakemachines import make_build
from tests.support.stranger import (
    UID,
    needs_two_users,
    public_folder,
    stranger_does,
    stranger_runs,
    theirs,
)

CHECKOUT = Path(__file__).parents[3]

#: holds a lock until its standard input ends
HOLD = """
import fcntl, os, sys
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
{drop}
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """As everywhere, but its runtime folder is for the test to spoil."""
    with tempfile.TemporaryDirectory(prefix="r-") as runtime:
        yield Launcher(Path(runtime), make_build(tmp_path / "build"))


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[str]]:
    """A process of ours that looks like a launcher, as ``python3 run`` does."""
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", "run"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) as process:
        yield process
        assert process.poll() is None, "it was ended"


def holding(lock: Path, *words: str, drop: str = "") -> subprocess.Popen[str]:
    """A process that holds `lock`; it ends with its ``with`` block."""
    argv = [sys.executable, "-c", HOLD.format(drop=drop), str(lock), *words]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    return line


# -- folders that others made --------------------------------------------------------------


@pytest.fixture(params=["writable", pytest.param("theirs", marks=needs_two_users)])
def trap(
    request: pytest.FixtureRequest, launcher: Launcher, bystander: subprocess.Popen[str]
) -> Path:
    """A root that somebody else could write to, with a lab that leads to what is ours."""
    folder = launcher.paths("x").folder
    folder.mkdir(parents=True)
    victim = ProcessRef.of(bystander.pid)
    (folder / "lock").write_text(f"{victim.pid} {victim.start_time}\n")
    (folder / "keep-ram").symlink_to(launcher.runtime / "made")
    (folder / "run.json").write_text("{}")
    root = folder.parent
    theirs(root) if request.param == "theirs" else root.chmod(0o777)
    return root


COMMANDS = [
    ["stop", "--name", "x", "--keep-ram"],
    ["stop", "--name", "x"],
    ["stop", "--all"],
    ["stop"],
    ["status"],
    ["status", "--name", "x"],
    ["ssh", "--name", "x", "1", "--", "true"],
    ["start", "--name", "x", "1"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_root_that_others_made_is_refused(
    launcher: Launcher, trap: Path, words: list[str]
) -> None:
    told = only_line(launcher(*words, expect=1))
    assert f"{trap}: " in told
    assert "so it is not trusted; set XDG_RUNTIME_DIR" in told or "chmod go-w" in told
    assert not (launcher.runtime / "made").exists()


def test_nothing_is_started_there(launcher: Launcher, trap: Path) -> None:
    assert "so it is not trusted" in launcher.vms("--name", "y", expect=1).stderr
    assert not (trap / "y").exists()


@needs_two_users
def test_their_lab_in_our_root_is_refused(launcher: Launcher) -> None:
    folder = launcher.paths("x").folder
    folder.mkdir(parents=True)
    theirs(folder)
    told = only_line(launcher("stop", "--name", "x", expect=1))
    assert told == (
        f"run: {folder}: belongs to user {UID}, so it is not trusted; "
        "set XDG_RUNTIME_DIR to a folder of your own"
    )


@needs_two_users
def test_the_folder_around_the_root_is_theirs(launcher: Launcher) -> None:
    """As /run/user/1000 is to root under `sudo -E`: whoever owns it can rename what is in it."""
    (launcher.runtime / "ntbdbg").mkdir()
    theirs(launcher.runtime)
    os.chown(launcher.runtime / "ntbdbg", 0, 0)
    for done in (launcher("status", expect=1), launcher.vms(expect=1)):
        assert f"{launcher.runtime}: belongs to user {UID}" in done.stderr
    os.chown(launcher.runtime, 0, 0)


def test_keeping_ram_makes_no_file_through_a_link(launcher: Launcher) -> None:
    folder = launcher.paths("x").folder
    folder.mkdir(mode=0o700, parents=True)
    (folder / "keep-ram").symlink_to(launcher.runtime / "made")
    with pytest.raises(OSError, match="symbolic links"):
        stopping._set_keep_ram(launcher.paths("x"), True)
    assert not (launcher.runtime / "made").exists()


# -- who holds a lab's name ----------------------------------------------------------------


def test_the_kernel_names_the_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert lock_holder(lock) is None
    lock.write_text(f"{os.getppid()} 1\n")
    assert lock_holder(lock) is None
    with holding(lock) as process:
        assert lock_holder(lock) == ProcessRef.of(process.pid)
        assert process.stdin is not None
        process.stdin.close()


def test_a_file_system_that_shows_two_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """btrfs: the inode that /proc/locks has is right, and the process has the file open."""
    lock, other = tmp_path / "lock", tmp_path / "other"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        place = f"ff:ff:{lock.stat().st_ino}"
        monkeypatch.setattr(lockholder, "_flocks", lambda: iter([(os.getpid(), place)]))
        assert lock_holder(lock) == ProcessRef.of(os.getpid())
    assert lock_holder(lock) is None
    other.touch()
    assert lock_holder(other) is None


def test_who_waits_for_a_lock_does_not_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "1: FLOCK  ADVISORY  WRITE 12 fe:01:77 0 EOF\n"
        "1: -> FLOCK  ADVISORY  WRITE 13 fe:01:77 0 EOF\n"
        "2: POSIX  ADVISORY  READ 14 fe:01:77 128 128\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: lines)
    assert list(lockholder._flocks()) == [(12, "fe:01:77")]


def test_what_a_lock_says_of_its_holder_is_not_believed(
    launcher: Launcher, bystander: subprocess.Popen[str]
) -> None:
    folder = launcher.paths("x").folder
    folder.mkdir(mode=0o700, parents=True)
    folder.parent.chmod(0o700)
    victim = ProcessRef.of(bystander.pid)
    (folder / "lock").write_text(f"{victim.pid} {victim.start_time}\n")
    launcher("stop", "--name", "x")
    assert bystander.poll() is None


def test_a_holder_that_is_no_launcher_is_named_at_once(launcher: Launcher) -> None:
    paths = launcher.paths("x")
    os.close(take_lock(paths))
    with holding(paths.lock) as process:
        told = only_line(launcher("stop", "--name", "x", "--keep-ram", expect=1))
        name = Path(sys.executable).name
        assert told == (
            f"run: lab 'x' is held by process {process.pid} ({name}), which is no launcher; "
            f"end it: kill {process.pid}"
        )
        assert process.poll() is None
        assert not paths.keep_ram.exists()
        assert process.stdin is not None
        process.stdin.close()


@needs_two_users
def test_a_holder_of_another_user_is_named_at_once(launcher: Launcher) -> None:
    """It may look like a launcher, and have been handed the open lock."""
    paths = launcher.paths("x")
    os.close(take_lock(paths))
    with holding(paths.lock, "run", drop=f"os.setuid({UID})") as process:
        told = only_line(launcher("stop", "--name", "x", expect=1))
        assert f"held by process {process.pid}" in told
        assert "which is not this user's; only its own user, or root, can end it" in told
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()


def test_a_holder_that_cannot_be_seen(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = launcher.paths("x")
    lock = take_lock(paths)
    monkeypatch.setattr(stopping, "holder", lambda _: None)
    monkeypatch.setattr(stopping, "UNSEEN", 0.0)
    with pytest.raises(RunError, match="cannot be seen from here, in another container"):
        stopping.take_lock_patiently(paths)
    os.close(lock)


def test_a_holder_that_gave_its_lock_away_is_not_signalled(
    launcher: Launcher, bystander: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the signal its pid may have become another's."""
    paths = launcher.paths("x")
    os.close(take_lock(paths))
    monkeypatch.setattr(stopping, "ORDERLY", 0.0)
    stopping._end_launcher(ProcessRef.of(bystander.pid), paths)
    assert bystander.poll() is None


# -- processes -----------------------------------------------------------------------------


@needs_two_users
def test_a_set_uid_program_is_its_callers() -> None:
    """Its effective user is root, its words are the stranger's choice."""
    code = "os.setresuid({uid}, 0, 0); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", f"import os, sys; {code.format(uid=UID)}", "a mark"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert not processes.is_own(process.pid)
        assert not list(processes.find(lambda words: "a mark" in words))
        victim = ProcessRef.of(process.pid)
        assert not processes.send(victim, stopping.signal.SIGKILL, lambda _: True)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


def test_no_process_is_signalled_by_its_number_alone() -> None:
    """A pid names another process tomorrow; `processes.send` goes through a pidfd."""
    for path in sorted((CHECKOUT / "run").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert "os.kill" not in text, path


# -- RAM files -----------------------------------------------------------------------------


@needs_two_users
def test_ram_of_a_stranger_is_neither_taken_nor_removed() -> None:
    with public_folder() as folder:
        folder.chmod(0o1777)
        path = folder / "qemu1"
        with stranger_does("open(sys.argv[1], 'wb').truncate(4096)", path) as process:
            assert process.wait() == 0
        assert not ram.remove(path, inode=path.stat().st_ino)
        with pytest.raises(RunError, match="is not a file of this user, so it is left alone"):
            ram.create(path, 4096)
        assert path.stat().st_uid == UID


def test_ram_is_not_removed_through_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "qemu1"
    real.touch()
    link.symlink_to(real)
    assert not ram.remove(link, inode=real.stat().st_ino)
    assert real.exists()
    assert link.is_symlink()


# -- the other way round -------------------------------------------------------------------


@needs_two_users
@pytest.mark.parametrize("readable", [False, True])
def test_a_stranger_ends_and_learns_nothing(
    bystander: subprocess.Popen[str], readable: bool
) -> None:
    with public_folder() as folder, FakeLab(folder, name="x") as lab:
        lock = lab.folder / "lock"
        lock.touch()
        if readable:
            for path in (lab.folder.parent, lab.folder):
                path.chmod(0o755)
        before = sorted(os.listdir(lab.folder))
        for words in (
            ["stop", "--name", "x", "--keep-ram"],
            ["stop", "--name", "x"],
            ["status", "--name", "x"],
            ["stop", "--all"],
        ):
            done = stranger_runs("run", *words, env=lab.environ)
            assert "Traceback" not in done.stderr
            assert done.returncode in (0, 1)
            told = "belongs to user 0" if readable else "Permission denied"
            assert told in done.stderr or words == ["stop", "--all"]
        assert sorted(os.listdir(lab.folder)) == before
        assert lab.qmp["qemu1"].log == []


def test_a_lab_that_is_not_there_is_said_to_be_so(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(launcher.runtime))
    with pytest.raises(RunError, match="no lab 'x'"):
        labs.load("x")
