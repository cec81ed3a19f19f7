# SPDX-License-Identifier: MIT
"""Commands on RAM with several kernels, or with one whose page tables are gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.twokernels import RAM, later_and_earlier, together

PAGE = 4096


@pytest.fixture
def guest() -> FakeGuest:
    guest = FakeGuest()
    furnish("qemu1", guest)
    _ = guest.memory
    return guest


@pytest.fixture
def several(tmp_path: Path) -> Path:
    memory = together(*later_and_earlier())
    path = tmp_path / "several"
    path.write_bytes(memory.read(0, RAM))
    return path


def test_info_tells_the_number_of_each_kernel(ntbdbg: Run, several: Path) -> None:
    shown = ntbdbg("info", several)
    assert shown.returncode == 0
    assert shown.stdout.rstrip().endswith(": --which-kernel 2")
    assert "(--which-kernel)" in shown.stderr
    facts = json.loads(ntbdbg("info", several, "--which-kernel", "2", "--json").stdout)
    assert facts["number"] == 2
    assert [other["number"] for other in facts["others"]] == [1]


@pytest.mark.parametrize(
    "words", [["ps"], ["dmesg"], ["modules"], ["devices"], ["sym", "init_uts_ns"]]
)
def test_every_kernel_command_takes_the_number(
    ntbdbg: Run, several: Path, words: list[str]
) -> None:
    name, *rest = words
    assert ntbdbg(name, several, *rest, "--which-kernel", "2").returncode == 0
    refused = ntbdbg(name, several, *rest, "--which-kernel", "7")
    assert refused.returncode == 2
    assert "there is no kernel 7 in its RAM; it has 1: " in refused.stderr
    assert "; 2: " in refused.stderr


def test_what_needs_no_kernel_does_not_look_for_one(ntbdbg: Run, several: Path) -> None:
    assert ntbdbg("dump", several, "0x1000", "8", "--which-kernel", "7").returncode == 0


def test_a_panic_that_nobody_could_look_for_is_unknown(ntbdbg: Run, tmp_path: Path) -> None:
    guest = FakeGuest()
    furnish("qemu1", guest)
    guest.hidden.add("panic_cpu")
    guest.extra = [line for line in guest.extra if "(prb)" not in line]
    path = tmp_path / "little"
    guest.save(path)
    (state,) = (s for s in ntbdbg("info", path).stdout.splitlines() if s.startswith("state"))
    assert state.split() == [
        "state",
        "unknown:",
        "neither",
        "its",
        "own",
        "word",
        "nor",
        "its",
        "log",
        "can",
        "be",
        "read",
    ]
    facts = json.loads(ntbdbg("info", path, "--json").stdout)
    assert (facts["panicked"], facts["panic_cpu"]) == (None, None)


def test_a_kernel_without_page_tables_is_read_by_its_place(
    ntbdbg: Run, guest: FakeGuest, tmp_path: Path
) -> None:
    start = guest.physical(guest.symbols["swapper_pg_dir"])
    guest.space.poke(start, b"\xee" * PAGE)
    path = tmp_path / "lost"
    guest.save(path)
    for command in ("dmesg", "info"):
        shown = ntbdbg(command, path)
        assert shown.returncode == 0, shown.stderr
        assert "page tables are gone" in shown.stderr
    assert "calls itself qemu1" in ntbdbg("info", path).stdout
    assert "Linux version" in ntbdbg("dmesg", path).stdout
