# SPDX-License-Identifier: MIT
"""RAM files: private, made anew, and never taken from somebody who uses them."""

from __future__ import annotations

import mmap
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from run.base.errors import HostError, RunError
from run.vm import ram

SIZE = 1 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "qemu1"


def test_new_file(path):
    handle = ram.create(path, SIZE)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_size, status.st_blocks) == (SIZE, 0)
    assert os.listdir(path.parent) == ["qemu1"]
    os.close(handle)


def test_mode_does_not_depend_on_umask(path):
    before = os.umask(0)
    try:
        os.close(ram.create(path, SIZE))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_leftover_is_unlinked_not_truncated(path):
    path.write_bytes(b"old" * 10)
    with path.open("rb") as old:
        os.close(ram.create(path, SIZE))
        assert old.read() == b"old" * 10
    assert path.read_bytes() == bytes(SIZE)


def test_held_file_is_refused(path):
    holder = ram.create(path, SIZE)
    with pytest.raises(RunError, match="is the RAM of a guest that runs"):
        ram.create(path, SIZE)
    assert not ram.remove(path)
    os.close(holder)
    os.close(ram.create(path, SIZE))


def test_a_process_that_inherits_the_descriptor_holds_the_file(path):
    handle = ram.create(path, SIZE)
    with subprocess.Popen(["sleep", "60"], pass_fds=[handle]) as sleeper:
        os.close(handle)
        with pytest.raises(RunError, match="guest that runs"):
            ram.create(path, SIZE)
        sleeper.kill()
    os.close(ram.create(path, SIZE))


def test_foreign_qemu_that_only_maps_the_file(path):
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE):
        assert ram.holders(path) == [os.getpid()]
        with pytest.raises(RunError, match=rf"runs \(pid {os.getpid()}\)"):
            ram.create(path, SIZE)
    assert ram.holders(path) == []


def test_reader_does_not_hold(path):
    path.write_bytes(bytes(SIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), SIZE, prot=mmap.PROT_READ):
        os.close(ram.create(path, SIZE))


def test_links_and_folders_are_left_alone(path):
    path.symlink_to("/etc/passwd")
    with pytest.raises(RunError, match="is a link, so it is left alone"):
        ram.create(path, SIZE)
    assert path.is_symlink()
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match="left alone"):
        ram.create(path, SIZE)


def test_missing_folder(path):
    with pytest.raises(HostError, match="No such file"):
        ram.create(path / "gone" / "x", SIZE)


def test_remove_only_that_inode(path):
    os.close(ram.create(path, SIZE))
    inode = path.stat().st_ino
    assert not ram.remove(path, inode=inode + 1)
    assert path.exists()
    assert ram.remove(path, inode=inode)
    assert not path.exists()
    assert not ram.remove(path)


def test_room():
    def statvfs(_):
        return SimpleNamespace(f_bavail=100, f_frsize=1 << 20)

    ram.check_room(100 << 20, overcommit=False, statvfs=statvfs)
    ram.check_room(101 << 20, overcommit=True, statvfs=statvfs)
    with pytest.raises(HostError, match="room for 100 MiB, the guests' RAM may take 101") as error:
        ram.check_room(101 << 20, overcommit=False, statvfs=statvfs)
    assert "--memory" in str(error.value)


def test_holder_of_another_user_is_not_named(path):
    code = "import os,sys; os.open(sys.argv[1], os.O_RDWR)"
    path.write_bytes(b"x")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert ram.holders(path) == []
    assert ram.holders(path.with_name("gone")) == []
