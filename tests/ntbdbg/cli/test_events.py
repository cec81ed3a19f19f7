# SPDX-License-Identifier: MIT
"""events: one story, chosen, followed, compared, as text and for programs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.cli.commands import events as command
from ntbdbg.cli.main import main
from ntbdbg.ntb.kinds import Kind, Quiet
from ntbdbg.ntb.page import RING_OFF, RING_STRIDE
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import UPTIME_NS, furnish
from tests.support.fakerings import FakeRings
from tests.support.fakeswitch import FakeSwitch
from tests.support.linkedlab import LinkedLab
from tests.support.linuxlab import LinuxLab

Run = Callable[..., tuple[int, str, str]]
S = 1_000_000_000


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedLab]:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        yield lab


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def a_story(lab: LinkedLab) -> FakeRings:
    """A doorbell that arrives, and one that nobody hears."""
    rings = lab.switch.record()
    for part in (0, 1):
        rings.join(part, 100 * S, 1_700_000_000 * S)
    rings.record(0, 100 * S, Kind.LINK, num=1)
    rings.record(0, 101 * S, Kind.DB_SENT, num=2, a=1)
    rings.record(1, 101 * S + 25_000, Kind.DB_IN, a=1)
    rings.record(1, 101 * S + 30_000, Kind.IRQ, a=2, b=2)
    rings.record(1, 102 * S, Kind.MASK, num=0x42C, a=1, b=0)
    rings.record(0, 103 * S, Kind.DB_SENT, num=2, a=1)
    rings.record(1, 103 * S, Kind.QUIET, num=Quiet.DB_MASKED, a=1)
    lab.publish()
    return rings


STORY = """\
    100.000000 qemu1  its link comes up
    101.000000 qemu1  rings doorbells 0x1 at qemu2
    101.000025 qemu2  doorbells 0x1 come in
    101.000030 qemu2  interrupts by MSI: DBELL
    102.000000 qemu2  INDBELLMSK 0x0 → 0x1
    103.000000 qemu1  rings doorbells 0x1 at qemu2
    103.000000 qemu2  no interrupt for doorbells 0x1: masked as doorbells
"""


def test_one_story(linked: LinkedLab, run: Run) -> None:
    a_story(linked)
    assert run("events") == (0, STORY, "")


def test_chosen_events(linked: LinkedLab, run: Run) -> None:
    a_story(linked)
    lines = STORY.splitlines(keepends=True)
    assert run("events", "--guest", "qemu1") == (0, lines[0] + lines[1] + lines[5], "")
    assert run("events", "--kind", "interrupt,register-set") == (0, lines[3] + lines[6], "")
    code, out, err = run("events", "--kind", "message")
    assert (code, out) == (1, "")
    assert "none of 7 recorded events" in err


def test_since(linked: LinkedLab, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    a_story(linked)
    monkeypatch.setattr(time, "monotonic_ns", lambda: 104 * S)
    assert run("events", "--since", "2s")[1] == "".join(STORY.splitlines(keepends=True)[4:])
    code, _, err = run("events", "--since", "soon")
    assert code == 2
    assert "'soon' is no span of time" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--kind", "bell"), "no kind of event is called 'bell'"),
        (("a.cap", "b.cap", "c.cap"), "three stories are too many"),
        (("--follow", "--dmesg"), "--follow is for a lab that runs"),
        (("--follow", "--freeze"), "--follow is for a lab that runs"),
        (("a.cap", "b.cap", "--dmesg"), "two stories are compared without logs"),
    ],
)
def test_what_makes_no_sense(
    linked: LinkedLab, run: Run, words: tuple[str, ...], says: str
) -> None:
    code, out, err = run("events", *words)
    assert (code, out) == (2, "")
    assert says in err


def test_for_a_program(linked: LinkedLab, run: Run) -> None:
    a_story(linked)
    code, out, err = run("events", "--json", "--guest", "qemu2", "--kind", "doorbell-in")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "kind": "events",
        "schema": 1,
        "guest": "qemu2",
        "partition": 1,
        "lane": "peers",
        "number": 0,
        "event": "doorbell-in",
        "group": "doorbell",
        "first_ns": 101 * S + 25_000,
        "last_ns": 101 * S + 25_000,
        "realtime_ns": 1_700_000_001 * S + 25_000,
        "times": 1,
        "peer": None,
        "num": 0,
        "a": 1,
        "b": 0,
        "text": "doorbells 0x1 come in",
    }


def test_a_page_without_rings(linked: LinkedLab, run: Run) -> None:
    code, out, err = run("events")
    assert (code, out) == (3, "")
    assert "nothing is recorded here: the page has no event rings" in err
    assert "-l 1M" in err


def test_a_page_by_its_path(linked: LinkedLab, run: Run, tmp_path: Path) -> None:
    a_story(linked)
    shutil.copy(linked.page, tmp_path / "page")
    code, out, _ = run("events", "--page", str(tmp_path / "page"), "--guest", "port2")
    assert code == 0
    assert out.splitlines()[0].endswith("port2  doorbells 0x1 come in")


def test_a_ring_that_lies_is_said_beside_the_others(linked: LinkedLab, run: Run) -> None:
    rings = a_story(linked)
    at = rings.place(0, 1, 0)
    rings.bytes[at : at + 8] = (9).to_bytes(8, "little")
    linked.publish()
    code, out, err = run("events")
    assert code == 0
    assert len(out.splitlines()) == 6
    assert "qemu1: traffic lane: 1 entries were being written" in err


def test_following(linked: LinkedLab, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rings = a_story(linked)
    looks = iter(range(3))

    def later(seconds: float) -> None:
        if next(looks) == 2:
            raise KeyboardInterrupt
        rings.record(0, 105 * S, Kind.DB_SENT, num=2, a=4)
        linked.publish()

    monkeypatch.setattr(command.time, "sleep", later)
    code, out, _ = run("events", "--follow", "--kind", "doorbell-sent")
    assert code == 0
    assert [line.split("rings")[1] for line in out.splitlines()] == [
        " doorbells 0x1 at qemu2",
        " doorbells 0x1 at qemu2",
        " doorbells 0x4 at qemu2",
        " doorbells 0x4 at qemu2",
    ]


def captured(lab: LinkedLab, run: Run, path: Path) -> str:
    code, _, err = run("capture", str(path))
    assert code == 0, err
    return str(path)


def test_of_a_capture(linked: LinkedLab, run: Run, tmp_path: Path) -> None:
    a_story(linked)
    taken = captured(linked, run, tmp_path / "a.cap")
    assert run("events", taken)[:2] == (0, STORY)
    assert run("events", taken, "--since", "1s")[1] == "".join(STORY.splitlines(keepends=True)[4:])


def test_two_stories(linked: LinkedLab, run: Run, tmp_path: Path) -> None:
    rings = a_story(linked)
    good = captured(linked, run, tmp_path / "good.cap")
    rings.record(0, 104 * S, Kind.MSG_REFUSED, num=0, a=7, b=1, peer=1)
    rings.bytes[rings.place(1, 1, 1) + 0x28] = 3  # another mask
    linked.publish()
    bad = captured(linked, run, tmp_path / "bad.cap")
    code, out, err = run("events", good, bad)
    assert code == 1, err
    assert out.splitlines() == [
        "-    102.000000 qemu2  INDBELLMSK 0x0 → 0x1",
        "+    102.000000 qemu2  INDBELLMSK 0x0 → 0x3",
        "+    104.000000 qemu1  message 0x7 to register 0 of qemu2 is refused: "
        "the register is full",
    ]
    code, out, _ = run("events", good, bad, "--json", "--kind", "message")
    assert code == 1
    assert json.loads(out)["side"] == "b"
    code, out, err = run("events", good, good)
    assert (code, out) == (0, "")
    assert "the same has happened in both" in err


def test_a_page_that_shrinks_is_told(linked: LinkedLab, run: Run) -> None:
    a_story(linked)
    with linked.page.open("r+b") as file:
        file.truncate(RING_OFF + RING_STRIDE)
    code, out, err = run("events")
    assert (code, out) == (3, "")
    assert "the rings end at" in err or "shrank" in err


@pytest.fixture
def logging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinuxLab]:
    """Two guests with logs, which were stopped; only qemu1's kernel can be read."""
    switch = FakeSwitch()
    rings = switch.record()
    for part in (0, 1):
        rings.record(part, UPTIME_NS + 900 * S, Kind.RUN, num=0, a=1)
    rings.record(0, 950 * S, Kind.DB_SENT, num=2, a=1)

    def furnish_one(name: str, guest: FakeGuest) -> None:
        if name == "qemu1":
            furnish(name, guest)

    with LinuxLab(tmp_path / "run", page=switch.build(), furnish=furnish_one) as lab:
        for qmp in lab.qmp.values():
            qmp.status = "paused"
        lab.monkeypatch(monkeypatch)
        yield lab


def test_with_the_kernels_logs_between(logging: LinuxLab, run: Run) -> None:
    code, out, err = run("events", "--dmesg", "--kind", "doorbell")
    assert code == 0
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    assert [words[1:] for words in lines][:3] == [
        ["qemu1", f"| Linux version {logging.linux['qemu1'].release}"],
        ["qemu1", "| WARNING: CPU: 0 PID: 1 at drivers/ntb/x.c:1"],
        ["qemu1", "rings doorbells 0x1 at qemu2"],
    ]
    assert [float(words[0]) for words in lines] == sorted(float(words[0]) for words in lines)
    assert lines[1][0] == "903.500000"
    assert "qemu1: its log's place in time is a guess" in err
    assert "qemu2: its log is left out: " in err


def test_logs_for_a_program(logging: LinuxLab, run: Run) -> None:
    _, out, _ = run("events", "--dmesg", "--json", "--guest", "qemu1")
    found = [json.loads(line) for line in out.splitlines()]
    (warning,) = [one for one in found if "WARNING" in one.get("text", "")]
    assert warning == {
        "kind": "events-log",
        "schema": 1,
        "guest": "qemu1",
        "host_ns": 903_500_000_000,
        "error_ns": None,
        "time_ns": 3_500_000_000,
        "level": 4,
        "text": "WARNING: CPU: 0 PID: 1 at drivers/ntb/x.c:1",
    }
