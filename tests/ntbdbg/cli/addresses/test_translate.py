# SPDX-License-Identifier: MIT
"""``ntbdbg translate``: the walk, the RAM file, windows both ways."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab
from tests.support.linuxlab import SCATTERED, LinuxLab

MIB = 1 << 20


@pytest.fixture
def facts(answer: Any) -> Any:
    return partial(answer, "translate")


def test_a_symbol_is_followed_to_its_ram_file(lab: LinuxLab, facts: Any) -> None:
    found = facts("qemu1", "jiffies_64")
    gpa = lab.physical("qemu1", "jiffies_64")
    assert found["address"] == lab.linux["qemu1"].symbols["jiffies_64"]
    assert (found["guest"], found["symbol"], found["gpa"]) == ("qemu1", "jiffies_64", gpa)
    assert found["ram_file"] == {"path": str(lab.ram_path("qemu1")), "offset": gpa}
    assert [step["level"] for step in found["steps"]] == ["pgd", "pud", "pmd"]
    assert found["page"]["size"] == 2 * MIB
    assert found["steps"][-1]["flags"] == ["P", "RW", "A", "D", "G", "PS"]
    assert found["windows"] == []


def test_each_level_is_what_lies_in_the_tables(lab: LinuxLab, facts: Any) -> None:
    found = facts(f"qemu1:{SCATTERED + 0x1008:#x}")
    assert [step["level"] for step in found["steps"]] == ["pgd", "pud", "pmd", "pte"]
    table = lab.linux["qemu1"].space.root
    for step in found["steps"]:
        assert step["table"] == table
        raw = lab.peek("qemu1", table + 8 * step["index"], 8)
        assert step["entry"] == int.from_bytes(raw, "little")
        table = step["entry"] & 0x000F_FFFF_FFFF_F000
    assert found["gpa"] == table + 8


def test_windows_that_reach_it(lab: LinuxLab, facts: Any) -> None:
    gpa = lab.physical("qemu2", "jiffies_64")
    there = {"window": "qemu1:mw0", "offset": gpa - 2 * MIB, "open": True, "closed": None}
    assert facts("qemu2", "jiffies_64")["windows"] == [there]
    physical = facts("qemu2", hex(gpa))
    assert physical["windows"] == [there]
    assert (physical["address"], physical["steps"], physical["page"]) == (None, [], None)


def test_through_a_window(lab: LinuxLab, facts: Any) -> None:
    found = facts("qemu1", "mw0+0x40")
    assert (found["guest"], found["via"], found["gpa"]) == ("qemu2", "qemu1:mw0+0x40", 2 * MIB + 64)
    assert found["ram_file"]["path"] == str(lab.ram_path("qemu2"))


def test_an_address_in_a_windows_bar_is_followed_into_the_peer(facts: Any) -> None:
    found = facts("qemu1", "0xfe000040")
    assert found["ram_file"] is None
    assert found["outbound"] == {
        "window": "qemu1:mw0",
        "offset": 0x40,
        "peer": "qemu2",
        "address": 2 * MIB + 0x40,
        "closed": None,
    }
    closed = facts("qemu2", "0xfe000040")["outbound"]
    assert (closed["window"], closed["peer"]) == ("qemu2:mw0", None)
    assert closed["closed"].startswith("limit 0")
    beyond = facts("qemu1", "0xfe100000")["outbound"]
    assert beyond["peer"] is None
    assert "is outside the window" in beyond["closed"]


def test_what_leads_nowhere_is_shown_and_a_fault(lab: LinuxLab, ntbdbg: Run, facts: Any) -> None:
    found = facts("qemu1", "va:0x7000", code=4)
    assert (found["gpa"], found["reason"]) == (
        None,
        "is not mapped: its pgd entry 0x0 is not present",
    )
    done = ntbdbg("translate", "qemu1", "va:0x7000")
    assert done.stderr == (
        "ntbdbg: qemu1: 0x7000 is not mapped: its pgd entry 0x0 is not present\n"
    )
    assert "none: it is in the VGA hole" in ntbdbg("translate", "qemu1", "0xa0000").stdout
    assert facts("qemu1", "0xa0000", code=4)["reason"].startswith("is in the VGA hole")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jiffies_64"], "no guest is named for 'jiffies_64', and there are qemu1, qemu2; write"),
        (["qemu1", "0", "1"], "Got unexpected extra argument (1); 'ntbdbg translate --help'"),
    ],
)
def test_usage(lab: LinuxLab, ntbdbg: Run, words: list[str], said: str) -> None:
    done = ntbdbg("translate", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_only_guest_need_not_be_named(tmp_path: Path, ntbdbg: Run) -> None:
    with FakeLab(tmp_path, guests=["qemu1"]) as alone:
        done = ntbdbg("translate", "0x1000", "--json", env=alone.environ)
    assert json.loads(done.stdout)["guest"] == "qemu1"


def test_a_bare_ram_file_may_be_named_before_a_colon(lab: LinuxLab, ntbdbg: Run) -> None:
    path = str(lab.ram_path("qemu1"))
    done = ntbdbg("translate", f"{path}:jiffies_64", "--json")
    assert json.loads(done.stdout)["gpa"] == lab.physical("qemu1", "jiffies_64")
