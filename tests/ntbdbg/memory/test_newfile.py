# SPDX-License-Identifier: MIT
"""Files that appear when they are whole, with and without a name until then."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.memory.newfile import NewFile, unwritten


@pytest.fixture(params=["without a name", "with one"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In tmpfs, which has files without names; it may be told not to."""
    if request.param == "with one":
        plain = os.open

        def open_named(path: str, flags: int, *rest: int, **more: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            return plain(path, flags, *rest, **more)

        monkeypatch.setattr("os.open", open_named)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield Path(path)


def test_it_appears_when_it_is_whole(folder: Path) -> None:
    with NewFile(str(folder / "x"), mode=0o640) as file:
        file.write(4096, b"end")
        assert not (folder / "x").exists()
        file.finish(5000)
    assert os.listdir(folder) == ["x"]
    data = (folder / "x").read_bytes()
    assert (len(data), data[4096:4099], data.count(0)) == (5000, b"end", 4997)
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o640


def test_unfinished_it_leaves_nothing(folder: Path) -> None:
    with NewFile(str(folder / "x")) as file:
        file.write(0, b"half")
    assert os.listdir(folder) == []


def test_one_that_is_there_is_kept_or_replaced(folder: Path) -> None:
    (folder / "x").write_text("old")
    with pytest.raises(UsageError, match="x exists; give another name, or --force"):
        NewFile(str(folder / "x"))
    with NewFile(str(folder / "x"), replace=True) as file:
        file.write(0, b"new")
        assert (folder / "x").read_text() == "old"
        file.finish(3)
    assert (os.listdir(folder), (folder / "x").read_text()) == (["x"], "new")


def test_one_that_appears_meanwhile_is_kept(folder: Path) -> None:
    with NewFile(str(folder / "x")) as file:
        file.write(0, b"mine")
        (folder / "x").write_text("theirs")
        with pytest.raises(UsageError, match="x exists"):
            file.finish(4)
    assert (os.listdir(folder), (folder / "x").read_text()) == (["x"], "theirs")


def test_a_link_is_followed(folder: Path) -> None:
    (folder / "link").symlink_to("target")
    with NewFile(str(folder / "link"), replace=True) as file:
        file.finish(0)
    assert (folder / "link").is_symlink()
    assert (folder / "target").is_file()


def test_a_folder_that_is_none(folder: Path) -> None:
    with pytest.raises(TargetError, match=r"cannot write .*make its folder first"):
        NewFile(str(folder / "none" / "x"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.ENOTDIR, "make its folder first"),
        (errno.EROFS, "write to a folder that is yours"),
        (errno.EIO, "write to another place"),
    ],
)
def test_what_to_do_next(number: int, words: str) -> None:
    assert unwritten(OSError(number, os.strerror(number))).startswith(words)


KILLED = """
import os, signal, sys
from ntbdbg.memory.newfile import NewFile, unwritten
with NewFile(sys.argv[1]) as file:
    file.write(0, b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_even_sigkill_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        done = subprocess.run([sys.executable, "-c", KILLED, f"{path}/x"], check=False)
        assert (done.returncode, os.listdir(path)) == (-9, [])
