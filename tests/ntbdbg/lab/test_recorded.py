# SPDX-License-Identifier: MIT
"""What run.json says of a guest's machine and architecture, and what its RAM says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ntbdbg
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[FakeLab]:
    guest = FakeGuest()
    size = guest.memory.segments.total
    with FakeLab(tmp_path, guests=["qemu1"], ram=size, live=False) as made:
        guest.save(made.ram_path("qemu1"))
        yield made


def notes_of(lab: FakeLab) -> list[str]:
    notes: list[str] = []
    with ntbdbg.open(lab.path, notify=notes.append) as opened:
        assert opened.guest("qemu1").kernel.arch.name == "x86_64"
    return [note for note in notes if "left behind" not in note]


def test_an_architecture_that_ram_contradicts_is_told(lab: FakeLab) -> None:
    assert notes_of(lab) == []
    lab.edit("qemu1", arch="aarch64")
    assert notes_of(lab) == [
        "qemu1: run.json has it as aarch64, but its kernel is one for x86_64, and is read as such"
    ]
