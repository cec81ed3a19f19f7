# SPDX-License-Identifier: MIT
"""What is no capture is told from captures, and what to do with it instead."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.elfwriter import Load, elf_core


def _part_of_one(path: Path) -> None:
    (path.parent / "checksums.json").write_text("{}")
    path.write_bytes(bytes(4096))


THINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "is a FIFO, whose bytes pass by once; put them into a file first: cat "),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a character device; give a file"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" * 99), "is no capture: no f"),
    "empty": (lambda path: path.write_bytes(b""), "'ntbdbg capture' makes captures; other files"),
    "folder": (Path.mkdir, "the folder is no capture; 'ntbdbg capture' makes one"),
    "nothing": (lambda path: None, "no such capture"),
    "dump": (
        lambda path: path.write_bytes(elf_core([Load(0, bytes(4096))])),
        "begins as a dump, not as a capture; it has no checksums to verify; 'ntbdbg --from ",
    ),
    "RAM": (_part_of_one, "is a part of a capture; name all of it: "),
    "broken link": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
}


@pytest.fixture(params=THINGS)
def thing(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    make, why = THINGS[request.param]
    make(tmp_path / "thing")
    return tmp_path / "thing", why


def test_what_is_no_capture(thing: tuple[Path, str], ntbdbg: Run) -> None:
    path, why = thing
    done = ntbdbg("verify", path)
    assert (done.returncode, done.stdout) == (3, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_fifo_is_no_lab_and_no_guest(
    tmp_path: Path, ntbdbg: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for words in (["--from", "pipe", "info"], ["dump", "./pipe", "0"]):
        done = ntbdbg(*words)
        assert done.returncode == 3
        assert "put them into a file first: cat " in done.stderr
    assert "for the file of that name write ./pipe" in ntbdbg("dump", "pipe", "0").stderr
