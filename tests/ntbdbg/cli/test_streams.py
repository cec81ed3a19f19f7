# SPDX-License-Identifier: MIT
"""Where results and words go, and what becomes of them where something is in their way."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntbdbg.cli.main import main
from ntbdbg.render.json import document
from tests.support.fakelab import FakeLab

INTERRUPTED_AT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

import ntbdbg.__main__
sys.meta_path.insert(0, Interrupt())
ntbdbg.__main__.run()
"""


@pytest.mark.parametrize(
    "module",
    ["ntbdbg.cli.main", "click", "ntbdbg.cli.commands.dump", "ntbdbg.lab.lab"],
)
def test_ctrl_c_while_modules_are_imported(lab: FakeLab, module: str) -> None:
    code = INTERRUPTED_AT.format(name=module)
    argv = [sys.executable, "-c", code, "dump", "qemu1", "0"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "", "")


def test_a_read_that_fails_is_not_the_outputs_fault(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.poke("qemu1", 0, b"x")

    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", broken)
    monkeypatch.setattr(os, "preadv", broken)
    path = lab.ram_path("qemu1")
    for words in (
        ["dump", "qemu1", "0x2000", "16"],
        ["search", "qemu1", "str:x", "--range", "0+8"],
    ):
        assert main(words) == 3
        said = capsys.readouterr().err
        assert f"qemu1: RAM file {path} cannot be read at " in said
        assert ": Input/output error; " in said


def test_what_else_the_system_refuses_is_not_the_outputs_fault(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("ntbdbg.lab.lab.Lab.open", broken)
    assert main(["info"]) == 3
    assert capsys.readouterr().err == (
        "ntbdbg: Resource temporarily unavailable; run it again with --debug to see where\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_words_that_nobody_hears_do_not_stop_results(
    tmp_path: Path, lab: FakeLab, unbuffered: str
) -> None:
    ram = tmp_path / "ram"
    ram.write_bytes(bytes(1 << 20))  # is told what was assumed of it
    command = ["sh", "-c", 'exec "$0" -m ntbdbg "$@" 2>/dev/full', sys.executable]
    done = subprocess.run(
        [*command, "dump", ram, "0", "16"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    assert (done.returncode, done.stdout[:9]) == (0, "00000000:")


def test_a_name_that_is_not_utf_8_is_json(lab: FakeLab, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/odd-\xff"
    os.mkdir(folder)
    with open(folder + b"/ram", "wb") as file:
        file.truncate(1 << 20)
    argv = [sys.executable, "-m", "ntbdbg", "dump", folder + b"/ram", "0", "1", "--json"]
    done = subprocess.run(argv, capture_output=True, check=False)
    text = done.stdout.decode("ascii")
    assert "\\ud" not in text
    assert json.loads(text)["guest"] == f"{tmp_path}/odd-\\xff/ram"


def test_json_of_odd_characters() -> None:
    names = {"\udcff": ["\ud800", "\U0001f600", "\\udcff", "é"]}
    text = document("x", {"names": names})
    text.encode("ascii")
    json.loads(text)["names"]["\\xff"][0].encode()
    assert json.loads(text)["names"] == {"\\xff": ["\\ud800", "\U0001f600", "\\udcff", "é"]}
