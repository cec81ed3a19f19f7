# SPDX-License-Identifier: MIT
"""TARGET and what follows it, in every order and spelling that can be understood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ntbdbg.cli.main import main
from tests.support.fakelab import FakeLab

Said = Callable[..., str]
LINE = "00001000: 6865 6c6c 6f2c 2071 656d 7531 0000 0000  hello, qemu1....\n"


@pytest.fixture
def said(lab: FakeLab, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command prints; in this process."""
    lab.poke("qemu1", 0x1000, b"hello, qemu1")

    def said(*words: str | Path, code: int = 0) -> str:
        assert main(list(map(str, words))) == code, capsys.readouterr().err
        return capsys.readouterr().out

    return said


@pytest.mark.parametrize(
    "words",
    [
        "qemu1 0x1000 16",
        "qemu1:0x1000 16",
        "qemu1:0x1000 -l 16",
        "0x1000 qemu1 16",
        "0x1000 16 qemu1",
        "-l 16 4K qemu1",
        "qemu2 qemu1:0x1000 16",
        "qemu1:pa:0x1000 16",
    ],
)
def test_dump(said: Said, words: str) -> None:
    assert said("dump", *words.split()) == LINE


def test_dump_of_a_file(said: Said, lab: FakeLab) -> None:
    path = lab.ram_path("qemu1")
    for words in ([path, "4K"], [f"{path}:4K"], ["4K", path]):
        assert said("dump", *words, "-l", "16") == LINE


def test_a_path_may_have_a_colon(said: Said, tmp_path: Path) -> None:
    path = tmp_path / "a:0" / "ram"
    path.parent.mkdir()
    path.write_bytes(bytes(0x1000) + b"hello, qemu1".ljust(0x1000, b"\0"))
    for words in ([path, "4K"], [f"{path}:4K"], ["4K", path]):
        assert said("dump", *words, "-l", "16") == LINE


def test_search(said: Said) -> None:
    for words in (["qemu1", "str:hello"], ["str:hello", "qemu1"], ["qemu1:str:hello"]):
        assert said("search", *words) == LINE


def test_patch(said: Said, lab: FakeLab) -> None:
    for number, words in enumerate((["qemu1:0", "u8:1"], ["0", "qemu1", "u8:2"]), 1):
        said("patch", *words)
        assert lab.peek("qemu1", 0, 1) == bytes([number])


def test_watch(said: Said) -> None:
    for words in (["qemu1:0", "4"], ["0", "qemu1", "4"], ["qemu1:0"]):
        assert said("watch", *words, "--timeout", "0", code=1) == ""


def test_of_one_guest_the_name_may_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeLab(tmp_path / "run", guests=["qemu"]) as alone:
        alone.monkeypatch(monkeypatch)
        assert main(["dump", "0", "16"]) == 0
        assert capsys.readouterr().out.startswith("00000000: 0000")
