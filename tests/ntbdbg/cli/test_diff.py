# SPDX-License-Identifier: MIT
"""ntbdbg diff: operands, output, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.cli.main import main
from tests.support.fakelab import FakeLab
from tests.support.linkedlab import SIZE, TARGET, LinkedLab


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedLab]:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        yield lab


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str | Path) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_identical(lab: FakeLab, run) -> None:
    code, out, err = run("diff", "qemu1", "qemu2")
    assert (code, out) == (0, "")
    assert "identical: 16256 KiB compared" in err


def test_side_by_side(lab: FakeLab, run) -> None:
    lab.poke("qemu2", 0x1004, b"hello")
    code, out, err = run("diff", "qemu1", "qemu2", "0x1000", "4K")
    assert code == 1
    assert out.splitlines() == [
        f"{'qemu1':<75} | qemu2",
        "00001000 00 00 00 00[00 00 00 00 00]00 00 00 00 00 00 00   ................ | "
        "00001000 00 00 00 00[68 65 6c 6c 6f]00 00 00 00 00 00 00   ....hello.......",
    ]
    assert "5 bytes on 1 page of 4 KiB compared, from 0x1004 to 0x1008" in err


def test_summary_and_quiet(lab: FakeLab, run) -> None:
    lab.poke("qemu1", 0x1000, b"\1")
    lab.poke("qemu1", 0x2000, b"\1\1")
    code, out, err = run("diff", "qemu1", "qemu2", "--summary")
    assert (code, err) == (1, "")
    assert out.startswith("qemu1 and qemu2 differ: 3 bytes on 2 pages")
    assert run("diff", "qemu1", "qemu2", "-q") == (1, "", "")
    assert run("diff", "qemu1", "qemu2", "0x3000", "64", "-q") == (0, "", "")


def test_quiet_for_a_program(lab: FakeLab, run) -> None:
    lab.poke("qemu1", 0x1000, b"\1")
    status, out, _ = run("--json", "diff", "qemu1", "qemu2", "-q")
    found = json.loads(out)
    assert (status, found["kind"], found["identical"], found["listed"]) == (1, "diff", False, 0)
    assert isinstance(found["first"], int)
    assert [found[name] for name in ("compared", "different", "pages", "last")] == [None] * 4
    status, out, _ = run("--json", "diff", "qemu1", "qemu2", "0x3000", "64", "-q")
    found = json.loads(out)
    assert (status, found["identical"], found["compared"], found["pages"]) == (0, True, 64, 0)


def test_limit(lab: FakeLab, run) -> None:
    for page in range(5):
        lab.poke("qemu1", 0x100000 + page * 4096, b"\1")
    _, out, err = run("diff", "qemu1", "qemu2", "--limit", "2")
    assert len(out.splitlines()) == 1 + 2
    assert "5 bytes on 5 pages" in err
    _, out, _ = run("diff", "qemu1", "qemu2", "--limit", "0")
    assert len(out.splitlines()) == 1 + 5


def test_limit_means_lines_and_runs_of_one_page_too(lab: FakeLab, run) -> None:
    for at in range(0, 4096, 32):
        lab.poke("qemu1", 0x100000 + at, b"\1")
    _, out, err = run("diff", "qemu1", "qemu2", "--limit", "3")
    assert len(out.splitlines()) == 1 + 3
    assert "128 bytes on 1 page" in err
    _, out, _ = run("--json", "diff", "qemu1", "qemu2", "--limit", "3")
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert kinds == ["diff-run"] * 3 + ["diff"]
    assert json.loads(out.splitlines()[-1])["listed"] == 3


def test_json_lines(lab: FakeLab, run) -> None:
    lab.poke("qemu2", 0x1004, b"hello")
    code, out, err = run("diff", "qemu1", "qemu2", "--json")
    assert (code, err) == (1, "")
    found, end = map(json.loads, out.splitlines())
    assert (found["kind"], found["a"], found["size"]) == ("diff-run", 0x1004, 5)
    assert (found["old"], found["new"]) == ("0000000000", b"hello".hex())
    assert (end["kind"], end["identical"], end["different"]) == ("diff", False, 5)
    assert json.loads(run("diff", "qemu1", "qemu1", "--json")[1])["identical"] is True


def test_places(lab: FakeLab, run) -> None:
    lab.poke("qemu1", 0x1000, b"same")
    lab.poke("qemu2", 0x5000, b"same")
    assert run("diff", "qemu1:0x1000", "qemu2:0x5000", "-l", "4")[0] == 0
    assert run("diff", "qemu1:0x1000", "qemu2:0x5001", "-l", "4")[0] == 1


def test_a_copy_of_a_ram_file(lab: FakeLab, run, tmp_path: Path) -> None:
    copy = tmp_path / "before"
    copy.write_bytes(lab.ram_path("qemu1").read_bytes())
    lab.poke("qemu1", 0x2000, b"new")
    code, out, _ = run("diff", copy, "qemu1", "-s")
    assert code == 1
    assert "3 bytes on 1 page" in out
    assert run("diff", copy, "qemu1", "0x3000", "4K")[0] == 0
    assert run("diff", copy, "qemu1", "0x2000", "4K")[0] == 1


def test_a_file_of_plain_bytes(lab: FakeLab, run, tmp_path: Path) -> None:
    part = tmp_path / "part.bin"
    part.write_bytes(b"xhello")
    lab.poke("qemu1", 0x7001, b"hello")
    assert run("diff", "qemu1:0x7001", f"{part}:1")[0] == 0
    assert run("diff", "qemu1:0x7001", part)[0] == 1
    part.write_bytes(b"hello")
    code, _, err = run("diff", "qemu1", part, "0x7001", "5")
    assert code == 0
    assert "taken as what is at 0x7001" in err


def test_the_two_directions_of_a_window(linked: LinkedLab, run) -> None:
    linked.poke("qemu2", TARGET + 0x10, b"from qemu1")
    linked.poke("qemu1", TARGET + 0x10, b"from qemu2")
    code, out, err = run("diff", "--window", "qemu1:mw0")
    assert code == 1
    head, line = out.splitlines()
    assert head.split(" | ")[0].rstrip() == "qemu1:mw0 in qemu2"
    assert head.split(" | ")[1] == "qemu2:mw0 in qemu1"
    assert "66 72 6f 6d 20 71 65 6d 75[31]" in line
    assert "1 byte on 1 page of 64 KiB" in err
    assert run("diff", "--window", "qemu1:mw0", "qemu1:mw0")[0] == 0


def test_a_window_as_an_operand_is_all_that_it_reaches(linked: LinkedLab, run) -> None:
    linked.poke("qemu2", TARGET + SIZE - 1, b"x")
    for words in (["qemu1:mw0", "qemu2:mw0"], ["qemu1", "qemu2", "mw0"]):
        code, out, err = run("diff", *words)
        head, _ = out.splitlines()
        sides = [side.strip() for side in head.split(" | ")]
        assert (code, sides) == (1, ["qemu1:mw0 in qemu2", "qemu2:mw0 in qemu1"])
        assert "1 byte on 1 page of 64 KiB" in err
    code, out, err = run("diff", "qemu1:mw0+0x8000", "qemu2:mw0+0xf000")
    assert code == 0
    assert "compared are the 4 KiB that both sides have" in err


@pytest.mark.parametrize(
    "words",
    [
        ["diff", "qemu1:mw0", "qemu1:mw0"],
        ["diff", "--window", "qemu1:mw0", "qemu2:0x300000"],
        ["search", "qemu1", "str:moved", "--range", "mw0"],
    ],
)
def test_operands_are_looked_up_while_all_stand_still(
    linked: LinkedLab, run, words: list[str]
) -> None:
    """What moves until the guests are stopped is where it is then."""
    there = 0x300000
    linked.poke("qemu2", there, b"moved")

    def move(command: str) -> None:
        if command == "stop":
            linked.switch.translate(0, address=there, size=SIZE)
            linked.publish()

    linked.qmp["qemu2"].before = move
    code, out, err = run(*words, "--freeze")
    assert code == 0, err
    assert "moved" in out or "identical" in err
    assert linked.qmp["qemu1"].log.count("cont") == 1


def test_a_window_against_its_source_and_a_file(linked: LinkedLab, run, tmp_path: Path) -> None:
    data = bytes(range(256)) * (SIZE // 256)
    linked.poke("qemu1", 0x800000, data)
    linked.poke("qemu2", TARGET, data)
    assert run("diff", "--window", "qemu1:mw0", "0x800000")[0] == 0
    assert run("diff", "--window", "qemu1:bar2", "qemu2:0x800000")[0] == 1
    part = tmp_path / "part"
    part.write_bytes(data[:1000])
    code, _, err = run("diff", "--window", "qemu1:mw0", part)
    assert code == 0
    assert "compared are the 1000 B that both sides have" in err


def test_a_closed_window_says_why(linked: LinkedLab, run) -> None:
    linked.switch.translate(1, address=0, size=0)
    linked.publish()
    code, _, err = run("diff", "--window", "qemu1:mw0")
    assert code == 3
    assert "qemu2:mw0 is closed: limit 0" in err
    assert run("diff", "--window", "qemu2:mw0", "0x1000")[0] == 3


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["qemu1"], 2, "with what"),
        (["qemu1", "qemu9"], 3, "qemu1, qemu2"),
        (["qemu1", "./nothing"], 3, "nothing"),
        (["qemu1", "qemu2", "0xa0000", "64"], 4, "VGA hole"),
        (["qemu1", "qemu2", "1T", "64"], 4, "beyond the end of RAM"),
        (["qemu1", "qemu2", "0xfffff0", "64"], 4, "0x1000000"),
        (["qemu1", "qemu2", "0x1000", "0"], 2, "zero"),
        (["qemu1", "qemu2", "0x1000", "-5"], 2, "negative"),
        (["qemu1", "qemu2", "0x1000", "99999999999999999999"], 2, "64 bits"),
        (["qemu1", "qemu2", "x!", "64"], 2, "not understood"),
        (["qemu1:0x1000", "qemu2"], 2, "say qemu2:ADDR"),
        (["qemu1:0x1000", "qemu2:0", "0x1000"], 2, "address of its own"),
        (["qemu1", "qemu2", "--length", "64"], 2, "without an address"),
        (["qemu1", "qemu2", "0", "64", "-l", "64"], 2, "twice"),
        (["--window", "qemu1"], 2, "no window"),
        (["--window", "qemu1:mw0"], 3, "no NTB link"),
        (["--window", "qemu1:mw0", "qemu2:mw0", "0x1000"], 2, "takes no ADDR"),
    ],
)
def test_bad_input(lab: FakeLab, run, words, code, says) -> None:
    got, out, err = run("diff", *words)
    assert (got, out) == (code, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_empty_file(lab: FakeLab, run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    code, _, err = run("diff", "qemu1:0x1000", empty)
    assert code in (2, 4), err
    assert err.strip()


def test_frozen_meanwhile(lab: FakeLab, run) -> None:
    assert run("diff", "qemu1", "qemu2", "0", "64", "--freeze")[0] == 0
    assert all("stop" in server.log for server in lab.qmp.values())
