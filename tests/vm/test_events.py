# SPDX-License-Identifier: MIT
"""The flight recorder of real guests: each way a doorbell gets lost, as the how-to shows it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from ntbdbg.lab.qmp import Qmp
from run.demo import tool
from tests.support.checkout import CHECKOUT

pytestmark = pytest.mark.vm

PAGE = (CHECKOUT / "docs/howto/my-doorbell-gets-lost.md").read_text(encoding="utf-8")
KINDS = ("--kind", "doorbell,interrupt")

LATE_NS = 3_000_000_000
"""So much later than it was due a tick may come on a busy host."""


@pytest.fixture(scope="module")
def lab(tool_lab):
    return tool_lab


def tell(lab, number: int, name: str, value: str) -> None:
    lab.sh(number, f"cd {tool.DIRECTORY} && echo '{value}' > {name}")


@pytest.fixture(autouse=True)
def quiet_doorbells(lab) -> Iterator[None]:
    """Nothing is set or masked before and after; qemu2 does something, so nothing is folded."""
    clear = "echo 's 0x80000000' > db_mask; echo 'c 0xffffffff' | tee db db_mask"
    for number in (1, 2):
        lab.sh(number, f"cd {tool.DIRECTORY} && {{ {clear}; }} > /dev/null")
    yield
    for number in (1, 2):
        lab.sh(number, f"cd {tool.DIRECTORY} && {{ {clear}; }} > /dev/null")


def shown(heading: str) -> list[str]:
    """The lines of a section's output, without times."""
    section = PAGE[PAGE.index(f"## {heading}\n") :].split("\n## ")[0]
    lines = re.findall(r"^ +\d+\.\d{6} (.*)$", section, re.MULTILINE)
    assert lines
    return [timeless(line) for line in lines]


def timeless(line: str) -> str:
    return re.sub(r"until \d+\.\d{6}", "until then", line)


def events_since(lab, begin: int, *words: str) -> list[dict]:
    return [e for e in lab.json_lines("events", *words) if e["first_ns"] >= begin]


def story(lab, begin: int, *words: str) -> list[str]:
    """What `events` tells since then, as its lines are, without times."""
    found = events_since(lab, begin, *(words or KINDS))
    assert found == sorted(found, key=lambda event: event["first_ns"])
    return [timeless(f"{event['guest']:<6} {event['text']}") for event in found]


def ring(lab, bits: str = "0x1") -> None:
    tell(lab, 1, "peer_db", f"s {bits}")


def heard(lab) -> None:
    ring(lab)
    tell(lab, 2, "db", "c 0x1")


def masked(lab) -> None:
    tell(lab, 2, "db_mask", "s 0x1")
    ring(lab)
    lab.until(lambda: lab.sh(2, f"cat {tool.DIRECTORY}/db") == "0x1")
    tell(lab, 2, "db_mask", "c 0x1")


def unanswered(lab) -> None:
    ring(lab)
    lab.until(lambda: lab.sh(2, f"cat {tool.DIRECTORY}/db") == "0x1")
    ring(lab, "0x2")


@pytest.mark.parametrize(
    ("heading", "happens"),
    [
        ("Nothing is wrong", heard),
        ("The receiver has masked it", masked),
        ("An earlier doorbell was not answered", unanswered),
    ],
)
def test_what_the_page_shows(lab, heading: str, happens: Callable[..., None]) -> None:
    begin = time.monotonic_ns()
    happens(lab)
    lab.until(lambda: len(story(lab, begin)) >= len(shown(heading)))
    assert story(lab, begin) == shown(heading)


def test_lost_on_purpose(lab) -> None:
    begin = time.monotonic_ns()
    with Qmp(lab.manifest.guests[0].qmp, who="qemu1") as qmp:
        places = qmp.execute("qom-list", path="/machine/peripheral-anon")
        (port,) = [one["name"] for one in places if one["type"] == "child<idt-ntb-ivshmem>"]
        path = f"/machine/peripheral-anon/{port}"
        qmp.execute("qom-set", path=path, property="x-fault-lose-doorbells", value=1)
    ring(lab)
    assert story(lab, begin) == shown("It was lost on purpose")
    heard(lab)
    lab.until(lambda: len(story(lab, begin)) >= 5)
    assert story(lab, begin)[1:] == shown("Nothing is wrong")


def test_the_kernels_logs_are_on_the_same_axis(lab) -> None:
    """A line before and one behind a doorbell, in the guest that rings, as far as is claimed."""
    begin = time.monotonic_ns()
    steps = ("echo before > /dev/kmsg", "echo 's 1' > peer_db", "echo behind > /dev/kmsg")
    lab.sh(1, f"cd {tool.DIRECTORY} && {' && '.join(steps)}")
    lines = lab.json_lines("events", "--dmesg", "--guest", "qemu1")
    logs = {one["text"]: one for one in lines if one["kind"] == "events-log"}
    (rang,) = [e for e in events_since(lab, begin, *KINDS) if e["event"] == "doorbell-sent"]
    before, behind = logs["before"], logs["behind"]
    assert before["host_ns"] <= behind["host_ns"]
    slack = LATE_NS + (before["error_ns"] or 0)
    assert before["host_ns"] - slack <= rang["first_ns"] <= behind["host_ns"] + slack


def test_traces_are_switched(lab) -> None:
    """QEMU's own trace events, while the guest runs."""
    lab.run("trace", "--name", lab.name, "idt_ntb_db_set", "on", "1")
    try:
        before = lab.log(1).count("idt_ntb_db_set")
        ring(lab, "0x40")
        lab.until(lambda: lab.log(1).count("idt_ntb_db_set") > before)
    finally:
        lab.run("trace", "--name", lab.name, "idt_ntb_db_set", "off", "1")
