# SPDX-License-Identifier: MIT
"""What is told first: the worst of each guest and of the link, whatever cannot be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ntbdbg.analysis.evidence import Evidence, Scene
from ntbdbg.analysis.examine import examine, examine_guest
from ntbdbg.analysis.postmortem import LinkStory
from ntbdbg.analysis.verdict import LINK, Severity, Verdict, about, heads, worst_first
from ntbdbg.analysis.verdicts import verdicts
from ntbdbg.errors import KernelError
from ntbdbg.lab.lab import Lab
from tests.support import stories
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.fakelog import FakeLog
from tests.support.linuxlab import LinuxLab, page_with_window

OOPS = (
    "BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "Oops: 0002 [#1] PREEMPT SMP PTI",
    "CPU: 1 PID: 217 Comm: tee Tainted: G           OE      6.1.0-56-amd64 #1",
    "RIP: 0010:my_write+0x12/0x20 [my]",
    "Call Trace:",
    " <TASK>",
    " vfs_write+0xb5/0x3c0",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
)


def furnish(name: str, guest: FakeGuest) -> None:
    log = FakeLog(guest)
    log.add(f"hello from {name}", at=1.0)
    for number, line in enumerate(OOPS if name == "qemu2" else ()):
        log.add(line, at=60.2 + number / 1000)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LinuxLab]:
    with LinuxLab(
        tmp_path / "run", furnish=furnish, page=page_with_window(0x200000, 0x10000)
    ) as made:
        yield made


def test_an_oops_without_a_panic_is_the_first_line(lab: FakeLab) -> None:
    with Lab.open(lab.folder) as opened:
        told = examine(opened).verdicts
    first = told[0]
    assert (first.severity, first.who) == (Severity.BROKEN, "qemu2")
    assert first.text == (
        f"oops at 60.200 s: {OOPS[0]}, in my_write+0x12/0x20 [my], tee (pid 217) on CPU 1"
    )
    assert first.place == "my_write+0x12/0x20 [my]"
    assert first.details == (
        "RIP: my_write+0x12/0x20 [my]",
        "Call Trace:",
        "  vfs_write+0xb5/0x3c0",
    )
    by_who = {verdict.who: verdict for verdict in heads(told)}
    assert next(iter(by_who)) == "qemu2"
    assert by_who["qemu1"].text == "it runs, its log tells of no trouble"
    assert by_who["qemu1"].severity is Severity.FINE
    assert by_who[LINK].text.startswith("up; nothing waits")
    assert "could not be compared in qemu1 and qemu2" in by_who[LINK].text
    assert by_who[LINK].severity is Severity.UNKNOWN


def test_one_guest_alone_says_the_same(lab: FakeLab) -> None:
    with Lab.open(lab.folder) as opened:
        info, told = examine_guest(opened.guest("qemu2"))
        whole = examine(opened).verdicts
    assert info.release == "6.1.0-56-amd64"
    assert list(told) == about(whole, "qemu2")


def test_a_guest_that_nobody_can_look_into_is_not_called_fine(lab: FakeLab) -> None:
    path = Path(lab.ram_path("qemu1"))
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(16 << 20)
    with Lab.open(lab.folder) as opened:
        (found,) = about(examine(opened).verdicts, "qemu1")
    assert found.severity is Severity.UNKNOWN
    assert "no Linux kernel" in found.text


NOWHERE = 0xFFFF_FFFF_FFF0_0000


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("desc_ring.descs", "its log cannot be read: the newest records are missing: "),
        (
            "desc_ring.tail_id",
            "its log tells of no trouble, but not all of it can be read: it claims ",
        ),
    ],
)
def test_a_log_that_nobody_can_read_whole_is_not_called_fine(
    tmp_path: Path, member: str, told: str
) -> None:
    def damaged(name: str, guest: FakeGuest) -> None:
        log = FakeLog(guest)
        log.add(f"hello from {name}", at=1.0)
        log.ring[member if member.endswith("descs") else f"{member}.counter"] = NOWHERE

    with LinuxLab(tmp_path / "run", furnish=damaged) as made, Lab.open(made.folder) as opened:
        (found,) = about(examine(opened).verdicts, "qemu1")
    assert found.severity is Severity.UNKNOWN
    assert told in found.text


def test_the_page_of_the_link_is_gone(lab: FakeLab) -> None:
    assert lab.manifest.link is not None
    Path(lab.manifest.link.shared_page).unlink()
    with Lab.open(lab.folder) as opened:
        (found,) = about(examine(opened).verdicts, LINK)
    assert found.severity is Severity.UNKNOWN


@pytest.mark.parametrize(
    ("names", "level"), [({0: "qemu1", 1: "qemu2"}, "up"), ({0: "qemu1"}, "no peer")]
)
def test_the_level_of_a_link(names: dict[int, str], level: str) -> None:
    assert LinkStory(stories.link_story().link, names).level == level


def test_a_finder_that_cannot_look_says_why(tmp_path: Path) -> None:
    def blind(scene: Scene) -> Iterator[Verdict]:
        yield Verdict(Severity.FINE, "qemu1", "one thing")
        raise KernelError("the list is damaged")

    with FakeLab(tmp_path / "run") as made, Lab.open(made.folder) as opened:
        seen = Evidence("qemu1", "running", lambda: opened.guest("qemu1"))
        one, two = verdicts(Scene(opened, (seen,)), [blind])
    assert (one.severity, one.who) == (Severity.UNKNOWN, "qemu1")
    assert "the list is damaged" in one.text
    assert two.text == "one thing"


def test_the_worst_first_and_equals_as_they_came() -> None:
    told = [Verdict(Severity(n % 3), f"g{n % 4}", str(n)) for n in range(12)]
    assert [v.text for v in worst_first(told)] == [
        *["2", "5", "8", "11"],
        *["1", "4", "7", "10"],
        *["0", "3", "6", "9"],
    ]
    assert [v.text for v in heads(told)] == ["2", "5", "8", "11"]
    assert [v.text for v in about(told, "g1")] == ["5", "1", "9"]
