# SPDX-License-Identifier: MIT
"""Whose word is believed: manifests, and what they name, of other users of the host."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import ntbdbg as api
from ntbdbg.errors import FormatError, TargetError, UntrustedError
from ntbdbg.lab import trust, where
from ntbdbg.lab.manifest import CaptureRecord, Manifest, lab_files
from ntbdbg.lab.qmp import Qmp
from ntbdbg.memory import owned
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab
from tests.support.linkedlab import LinkedLab
from tests.support.stranger import (
    UID,
    needs_two_users,
    public_folder,
    stranger_does,
    stranger_runs,
    theirs,
)

CLAIM = CaptureRecord(version=1, started=1.0, moment=1.0, standstill=0.0, consistent=True)
SECRET = b"a secret of the caller"


@pytest.fixture
def alien(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a path another user's: by giving it away, or, if we cannot, by being somebody else."""
    if os.getuid() == 0:
        return theirs
    own = os.getuid()
    return lambda _: monkeypatch.setattr(os, "getuid", lambda: own + 1)


# -- manifests -----------------------------------------------------------------------------


def test_one_that_calls_itself_a_capture_is_no_lab(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0x1000, SECRET)
    lab.edit(capture=CLAIM)
    for words in (["dump", "qemu1", "0x1000"], ["patch", "qemu1", "0x1000", "u32:5"]):
        done = ntbdbg("--lab", "default", *words, env=lab.environ)
        assert done.returncode == 3
        assert "is the run.json of a capture, not of a lab" in done.stderr
    assert lab.peek("qemu1", 0x1000, len(SECRET)) == SECRET
    assert not (lab.folder / "patches.jsonl").exists()


def test_where_a_capture_was_asked_for_its_names_lead_nowhere_else(lab: FakeLab) -> None:
    lab.edit(capture=CLAIM)
    with pytest.raises(FormatError, match="which is no plain name"):
        api.open(lab.path)


@needs_two_users
@pytest.mark.parametrize("claim", [None, CLAIM])
def test_the_runtime_folder_of_a_stranger_has_no_lab_for_us(
    lab: FakeLab, ntbdbg: Run, claim: CaptureRecord | None
) -> None:
    lab.poke("qemu1", 0x1000, SECRET)
    lab.edit(capture=claim)
    theirs(lab.root / "ntbdbg")
    for words in (
        ["--lab", "default", "dump", "qemu1", "0x1000"],
        ["--lab", "default", "patch", "qemu1", "0x1000", "u32:5"],
        ["dump", "qemu1", "0x1000"],
        ["--from", lab.folder, "patch", "qemu1", "0x1000", "u32:5"],
        ["--from", lab.folder, "undo"],
    ):
        done = ntbdbg(*words, env=lab.environ)
        assert done.returncode == 3, words
        assert not done.stdout
        assert len(done.stderr.splitlines()) == 1
        assert f"belongs to user {UID}, so it is not trusted" in done.stderr or "--from" in words
    assert lab.peek("qemu1", 0x1000, len(SECRET)) == SECRET
    assert lab.qmp["qemu1"].log == []


@needs_two_users
def test_our_own_file_in_their_folder_is_not_believed(lab: FakeLab) -> None:
    theirs(lab.folder)
    os.chown(lab.path, 0, 0)
    with pytest.raises(UntrustedError, match=f"{lab.folder}: belongs to user {UID}"):
        Manifest.load(lab.path)


@needs_two_users
def test_their_file_in_our_folder_is_not_believed(lab: FakeLab) -> None:
    theirs(lab.path)
    with pytest.raises(UntrustedError, match=f"{lab.path}: belongs to user {UID}"):
        Manifest.load(lab.path)


@needs_two_users
@pytest.mark.parametrize("words", [["dump", "qemu1", "0x1000"], ["patch", "qemu1", "0", "u8:1"]])
def test_a_stranger_gets_nothing_of_ours(words: list[str]) -> None:
    with public_folder() as folder, FakeLab(folder) as lab:
        lab.poke("qemu1", 0x1000, SECRET)
        ours = (["--lab", "default"], ["--from", str(lab.folder)], ["--from", str(lab.path)], [])
        for where_ in ours:
            done = stranger_runs("ntbdbg", *where_, *words, env=lab.environ)
            assert (done.returncode, done.stdout) == (3, ""), done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert "Permission denied" in done.stderr
        assert lab.peek("qemu1", 0x1000, len(SECRET)) == SECRET


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_a_folder_where_others_may_write_is_not_believed(lab: FakeLab, mode: int) -> None:
    lab.folder.chmod(mode)
    with pytest.raises(UntrustedError) as caught:
        where.find(lab="default")
    assert str(caught.value) == (
        f"{lab.folder}: others may write to it, so it is not trusted; chmod go-w {lab.folder}"
    )


def test_links_to_folder_and_file_are_not_followed(lab: FakeLab) -> None:
    other = lab.folder.with_name("other")
    other.symlink_to(lab.folder)
    with pytest.raises(UntrustedError, match=f"{other}: is a link, so it is not trusted"):
        where.find(lab="other")
    other.unlink()
    other.mkdir(0o700)
    (other / "run.json").symlink_to(lab.path)
    with pytest.raises(UntrustedError, match=r"run\.json: is a link"):
        where.find(lab="other")


def test_a_fifo_is_not_waited_for(lab: FakeLab) -> None:
    lab.path.unlink()
    os.mkfifo(lab.path, 0o600)
    with pytest.raises(FormatError, match="is not JSON"):
        where.find(lab="default")


# -- the runtime root ----------------------------------------------------------------------


def test_a_root_that_is_a_link_is_refused(lab: FakeLab) -> None:
    root = lab.root / "ntbdbg"
    root.rename(lab.root / "real")
    root.symlink_to(lab.root / "real")
    with pytest.raises(UntrustedError, match="is a link, so it is not trusted; set XDG_RUNTIME"):
        lab_files()


def test_nobodys_root_keeps_us_from_our_own_files(
    lab: FakeLab, ntbdbg: Run, tmp_path: Path
) -> None:
    """Anybody may be the first to make /tmp/ntbdbg-0; a file that we name needs no lab."""
    (tmp_path / "own.ram").write_bytes(SECRET.ljust(1 << 20, b"\0"))
    (lab.root / "ntbdbg").chmod(0o777)
    done = ntbdbg("dump", tmp_path / "own.ram", "0", "8", env=lab.environ)
    assert (done.returncode, done.stdout.split("  ")[-1]) == (0, "a secret\n")
    assert "no labs are looked for: " in done.stderr
    assert "others may write to it, so it is not trusted" in done.stderr
    for words in (["dump", "qemu1", "0"], ["--lab", "default", "dump", lab.ram_path("qemu1"), "0"]):
        done = ntbdbg(*words, env=lab.environ)
        assert (done.returncode, done.stdout) == (3, "")
        assert "not trusted" in done.stderr


def test_whoever_owns_the_folder_around_it_could_replace_it(
    lab: FakeLab, alien: Callable[[Path], None]
) -> None:
    alien(lab.root)
    if os.getuid() == 0:
        os.chown(lab.root / "ntbdbg", 0, 0)
    with pytest.raises(UntrustedError) as caught:
        lab_files()
    assert str(caught.value).endswith(
        "so it is not trusted; set XDG_RUNTIME_DIR to a folder of your own"
    )
    assert caught.value.path == os.fspath(lab.root)


def test_a_sticky_folder_around_it_is_as_good_as_tmp(lab: FakeLab) -> None:
    lab.root.chmod(0o1777)
    assert list(lab_files()) == ["default"]
    lab.root.chmod(0o777)
    with pytest.raises(UntrustedError, match="others may write to it"):
        lab_files()


def test_a_sticky_folder_of_the_host_seen_from_inside_is_believed(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a user namespace /tmp belongs to a user whom the kernel cannot name there."""
    status = os.stat_result((0o041777, 1, 1, 1, 65534, 65534, 0, 0, 0, 0))
    monkeypatch.setattr(trust, "_is_unmapped", lambda uid: uid == 65534)
    trust._check_base("/tmp", status)
    monkeypatch.setattr(trust, "_is_unmapped", lambda _: False)
    with pytest.raises(UntrustedError, match="/tmp: belongs to user 65534"):
        trust._check_base("/tmp", status)


def test_no_root_is_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nothing"))
    assert lab_files() == {}


# -- what a manifest names -----------------------------------------------------------------


def test_ram_of_somebody_else_is_left_alone(lab: FakeLab, tmp_path: Path) -> None:
    """The manifest is ours; the file that now lies where it says is not."""
    with api.open(lab="default") as opened:
        opened.owners = (UID,)
        with pytest.raises(TargetError) as caught:
            opened.guest("qemu1")
    assert f"belongs to user {os.getuid()}, so it is left alone" in str(caught.value)
    assert "name it by its path" in str(caught.value)


@needs_two_users
def test_ram_given_to_a_stranger_is_neither_read_nor_written(lab: FakeLab, ntbdbg: Run) -> None:
    theirs(lab.ram_path("qemu1"))
    for words in (["dump", "qemu1", "0"], ["patch", "qemu1", "0", "u8:1"]):
        done = ntbdbg(*words, env=lab.environ)
        assert done.returncode == 3
        assert f"belongs to user {UID}, so it is left alone" in done.stderr
    assert lab.peek("qemu1", 0, 1) == b"\0"


def test_ram_behind_a_link_is_left_alone(lab: FakeLab) -> None:
    path = lab.ram_path("qemu1")
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with api.open() as opened, pytest.raises(TargetError, match="is a link, which is not followed"):
        opened.guest("qemu1")


def test_a_shared_page_behind_a_link_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        lab.page.rename(tmp_path / "page")
        lab.page.symlink_to(tmp_path / "page")
        with api.open() as opened, pytest.raises(TargetError, match="is a link"):
            opened.read_link()


@needs_two_users
def test_the_page_of_a_stranger_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        theirs(lab.page)
        with api.open() as opened, pytest.raises(TargetError, match=f"belongs to user {UID}"):
            opened.read_link()


def test_a_file_that_the_kernel_links_to_is_followed(lab: FakeLab) -> None:
    """The shared page has no other name when its server was started with ``-m``."""
    with lab.ram_path("qemu1").open("rb") as held:
        ram = lab.manifest.guest("qemu1").ram
        path = f"/proc/{os.getpid()}/fd/{held.fileno()}"
        lab.edit("qemu1", ram=dataclasses.replace(ram, path=path))
        with api.open() as opened:
            assert opened["qemu1"].read(0, 1) == b"\0"


# -- the journal ---------------------------------------------------------------------------


def test_a_journal_that_others_may_write_to_is_not_believed(lab: FakeLab, ntbdbg: Run) -> None:
    assert ntbdbg("patch", "qemu1", "0x10", "u8:7", env=lab.environ).returncode == 0
    journal = lab.folder / "patches.jsonl"
    journal.chmod(0o622)
    done = ntbdbg("undo", env=lab.environ)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{journal}: others may write to it, so it is not trusted" in done.stderr
    assert lab.peek("qemu1", 0x10, 1) == b"\7"


@pytest.mark.parametrize("dangling", [False, True])
def test_a_journal_is_not_made_through_a_link(lab: FakeLab, ntbdbg: Run, dangling: bool) -> None:
    victim = lab.root / "victim"
    if not dangling:
        victim.write_bytes(SECRET)
    (lab.folder / "patches.jsonl").symlink_to(victim)
    done = ntbdbg("patch", "qemu1", "0x10", "u8:7", env=lab.environ)
    assert done.returncode == 3
    assert "is a link, so it is not trusted" in done.stderr
    assert victim.exists() is not dangling
    assert lab.peek("qemu1", 0x10, 1) == b"\0"


@needs_two_users
def test_the_journal_of_a_stranger_writes_nothing(lab: FakeLab, ntbdbg: Run) -> None:
    """Bare files are journalled in the user's state folder, which may be inherited."""
    path = lab.root / "bare"
    path.write_bytes(bytes(4096))
    env = {**lab.environ, "XDG_RUNTIME_DIR": str(lab.root / "nothing")}
    assert ntbdbg("patch", path, "0", "u8:7", env=env).returncode == 0
    theirs(lab.root / "state")
    for words in (["undo"], ["patch", path, "1", "u8:8"]):
        done = ntbdbg(*words, env=env)
        assert done.returncode == 3
        assert f"belongs to user {UID}, so it is not trusted" in done.stderr
    assert path.read_bytes()[:2] == b"\7\0"


@needs_two_users
def test_undo_opens_by_the_rule_of_the_patch(lab: FakeLab, ntbdbg: Run) -> None:
    assert ntbdbg("patch", "qemu1", "0", "u8:7", env=lab.environ).returncode == 0
    entry = json.loads((lab.folder / "patches.jsonl").read_text())
    assert entry["owners"] == [os.getuid()]
    theirs(lab.ram_path("qemu1"))
    done = ntbdbg("undo", "1", env=lab.environ)
    assert done.returncode == 3
    assert f"belongs to user {UID}" in done.stderr
    assert lab.peek("qemu1", 0, 1) == b"\7"


# -- bare RAM files ------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``qemu1`` in the folder of bare RAM files."""
    monkeypatch.setattr(where, "BARE_FOLDER", str(tmp_path))
    path = tmp_path / "qemu1"
    path.write_bytes(SECRET.ljust(4096, b"\0"))
    return path


def test_one_that_nobody_named_must_be_ours(bare: Path, alien: Callable[[Path], None]) -> None:
    owner = UID if os.getuid() == 0 else os.getuid()
    alien(bare)
    with api.open() as lab:
        assert lab.names == ()
        assert lab.notes == [
            f"left out {bare}, which belongs to user {owner}; name it by its path if it is meant"
        ]
        with pytest.raises(TargetError) as caught:
            lab.guest("qemu1")
        assert str(caught.value) == (
            f"qemu1: RAM file {bare} belongs to user {owner}, so it is left alone; if it is meant "
            "all the same, name it by its path"
        )
        assert lab.guest(str(bare)).read(0, len(SECRET)) == SECRET


def test_one_that_nobody_named_is_no_link(bare: Path) -> None:
    bare.rename(bare.with_name("real"))
    bare.symlink_to("real")
    with api.open() as lab:
        assert lab.names == ()
        assert lab.notes == [
            f"left out {bare}, which is a link; name it by its path if it is meant"
        ]
        with pytest.raises(TargetError, match="is a link, which is not followed"):
            lab.guest("qemu1")
        assert lab.guest(str(bare)).read(0, len(SECRET)) == SECRET


# -- monitors ------------------------------------------------------------------------------


def test_a_monitor_of_somebody_else_hears_nothing(lab: FakeLab) -> None:
    fake = lab.qmp["qemu1"]
    with (
        pytest.raises(TargetError, match="so nothing is said to it"),
        Qmp(fake.path, who="qemu1", owner=UID),
    ):
        pass
    assert fake.log == []


@needs_two_users
def test_a_socket_that_a_stranger_owns_is_not_connected_to(lab: FakeLab) -> None:
    fake = lab.qmp["qemu1"]
    os.chown(fake.path, UID, UID)
    with (
        pytest.raises(TargetError, match=f"belongs to user {UID}, so nothing is said to it"),
        Qmp(fake.path, who="qemu1"),
    ):
        pass


LISTEN = """
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("listens", flush=True)
client, _ = server.accept()
print(client.recv(1), flush=True)
"""


@needs_two_users
def test_who_listens_counts_not_whose_the_socket_seems() -> None:
    """The socket's file may have been given away; the kernel knows who called listen()."""
    with public_folder() as folder:
        folder.chmod(0o777)
        path = folder / "qmp"
        with stranger_does(LISTEN, path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "listens\n"
            os.chown(path, 0, 0)
            with (
                pytest.raises(TargetError, match=f"user {UID} listens there"),
                Qmp(path, who="qemu1"),
            ):
                pass
            assert process.stdout.readline() == "b''\n"


def test_a_lock_of_a_monitor_is_not_made_through_a_link(lab: FakeLab) -> None:
    fake = lab.qmp["qemu1"]
    lock = fake.path.with_name(fake.path.name + ".lock")
    lock.symlink_to(lab.root / "victim")
    with pytest.raises(TargetError, match="symbolic links"), Qmp(fake.path, who="qemu1"):
        pass
    assert not (lab.root / "victim").exists()


# -- the kernel's own rules ----------------------------------------------------------------


def test_judged_is_what_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    assert trust.read_believed(path, 8) == (SECRET[:8], os.getuid())
    path.chmod(0o620)
    with pytest.raises(UntrustedError, match="others may write"):
        owned.open_believed(path, os.O_RDONLY)
