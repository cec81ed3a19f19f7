# SPDX-License-Identifier: MIT
"""``ntbdbg sym``: names, patterns, addresses."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.linuxlab import SCATTERED, LinuxLab


@pytest.fixture
def ask(answer: Any) -> Any:
    return partial(answer, "sym")


def test_a_name(lab: LinuxLab, ask: Any) -> None:
    answer = ask("qemu1", "jiffies_64")
    assert answer["symbols"] == [
        {
            "name": "jiffies_64",
            "module": None,
            "address": lab.linux["qemu1"].symbols["jiffies_64"],
            "size": 8,
            "section": "data",
            "global": False,
            "type": "u64",
        }
    ]
    assert (answer["guest"], answer["address"], answer["complete"]) == ("qemu1", None, True)


def test_the_guest_may_stand_before_a_colon(lab: LinuxLab, ask: Any) -> None:
    (symbol,) = ask("qemu2:jiffies_64")["symbols"]
    assert symbol["address"] == lab.linux["qemu2"].symbols["jiffies_64"]


def test_a_member_and_a_cpus_copy(lab: LinuxLab, ask: Any) -> None:
    (member,) = ask("qemu1", "init_uts_ns.name.nodename")["symbols"]
    assert member["address"] == lab.linux["qemu1"].symbols["init_uts_ns"] + 65
    assert (member["name"], member["size"], member["type"]) == (
        "init_uts_ns.name.nodename",
        65,
        "char [65]",
    )
    (all_of_them,) = ask("qemu1", "cpu_number")["symbols"]
    (copy,) = ask("qemu1", "cpu_number@1")["symbols"]
    assert all_of_them["type"] == copy["type"] == "unsigned int"
    assert copy["section"] == "per-CPU"
    area = lab.linux["qemu1"].percpu_areas[1]
    assert copy["address"] == area + lab.linux["qemu1"].symbols["cpu_number"]


def test_patterns(lab: LinuxLab, ask: Any) -> None:
    names = [symbol["name"] for symbol in ask("qemu1", "idle_*")["symbols"]]
    assert names == ["idle_loop", "idle_loop.isra.0"]
    assert [s["name"] for s in ask("qemu1", "vmlinux:jiffies_?4")["symbols"]] == ["jiffies_64"]
    assert ask("qemu1", "nomodule:*", code=1)["symbols"] == []
    first = ask("qemu1", "*", "--limit", "2")
    assert (len(first["symbols"]), first["complete"]) == (2, False)
    everything = ask("qemu1", "**", "--limit", "0")
    assert everything["complete"]
    assert {symbol["name"] for symbol in everything["symbols"]} >= set(lab.linux["qemu1"].symbols)


def test_addresses(lab: LinuxLab, ask: Any) -> None:
    va, gpa = lab.linux["qemu1"].symbols["jiffies_64"], lab.physical("qemu1", "jiffies_64")
    for query in (hex(va + 4), "jiffies_64+4", hex(gpa + 4)):
        answer = ask("qemu1", query)
        assert (answer["address"], answer["gpa"], answer["name"]) == (
            va + 4,
            gpa + 4,
            "jiffies_64+0x4",
        )
        assert [symbol["name"] for symbol in answer["symbols"]] == ["jiffies_64"]
    nameless = ask("qemu1", hex(SCATTERED), code=1)
    assert (nameless["gpa"] is not None, nameless["name"]) == (True, None)
    assert ask("qemu1", "va:0x1000", code=1)["gpa"] is None


def test_pictures(lab: LinuxLab, ntbdbg: Run) -> None:
    va, gpa = lab.linux["qemu1"].symbols["jiffies_64"], lab.physical("qemu1", "jiffies_64")
    lines = ntbdbg("sym", "qemu1", "jiffies_64").stdout.splitlines()
    assert [line.rstrip() for line in lines] == [
        "ADDRESS           SIZE  SECTION      NAME        TYPE",
        f"{va:016x}   0x8  data, local  jiffies_64  u64",
    ]
    lines = ntbdbg("sym", "qemu1", hex(va + 4)).stdout.splitlines()
    assert [line.rstrip() for line in lines] == [
        f"virtual   {va + 4:#x}",
        f"physical  qemu1:{gpa + 4:#x}",
        "symbol    jiffies_64+0x4",
        "section   data, local",
    ]


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("jiffies_46", 1, "no symbol 'jiffies_46'"),
        ("jiffies_46", 1, "similar: jiffies_64"),
        ("zz*", 1, "nothing is known of zz*"),
        ("x" * 200 + "*", 2, "the pattern is longer than 128"),
        ("init_uts_ns.nosuch", 1, "has no member 'nosuch'"),
        ("cpu_number@9", 1, "there is no CPU 9"),
        ("a b", 2, "is not understood"),
    ],
)
def test_what_is_not_found(lab: LinuxLab, ntbdbg: Run, query: str, code: int, said: str) -> None:
    done = ntbdbg("sym", "qemu1", query)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_in_a_capture_beside_the_lab(lab: LinuxLab, ntbdbg: Run, ask: Any, tmp_path: Path) -> None:
    path = tmp_path / "before.cap"
    assert ntbdbg("capture", path).returncode == 0
    va = lab.linux["qemu2"].symbols["jiffies_64"]
    for words in ([f"{path}:qemu2:jiffies_64"], [f"{path}:qemu2", "jiffies_64"]):
        (symbol,) = ask(*words)["symbols"]
        assert symbol["address"] == va
    where = json.loads(ntbdbg("translate", f"{path}:qemu2:jiffies_64", "--json").stdout)
    assert where["ram_file"]["offset"] == lab.physical("qemu2", "jiffies_64")
    assert where["ram_file"]["path"].startswith(str(path))
