# SPDX-License-Identifier: MIT
"""Commands on a kernel whose types have a kind that this version does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from ntbdbg.kernel.btf.format import HEADER
from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """RAM of a kernel whose type 2 is of kind 20; type 1 has four words."""
    guest = FakeGuest()
    furnish("qemu1", guest)
    _ = guest.memory
    start = guest.physical(guest.tables["btf"]) + HEADER
    assert guest.space.data[start + 7] & 0x1F == 1, "the first type is an INT"
    guest.space.poke(start + 16 + 7, bytes([20]))
    path = tmp_path / "newer"
    guest.save(path)
    return path


@pytest.mark.parametrize(
    "words", [["ps"], ["modules"], ["bt"], ["devices"], ["decode", "struct task_struct", "0x1000"]]
)
def test_the_kind_is_named(ntbdbg: Run, newer: Path, words: list[str]) -> None:
    name, *rest = words
    done = ntbdbg(name, newer, *rest)
    assert done.returncode == 5
    *_, error = done.stderr.splitlines()
    assert "BTF of vmlinux: type 2 is of unknown kind 20" in error
    assert "newer than this version knows" in error


def test_what_needs_no_types_says_it_in_a_note(ntbdbg: Run, newer: Path) -> None:
    assert ntbdbg("dmesg", newer).returncode == 0
    done = ntbdbg("info", newer)
    assert done.returncode == 0
    assert "type 2 is of unknown kind 20" in done.stderr
