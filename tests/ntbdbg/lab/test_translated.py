# SPDX-License-Identifier: MIT
"""A patch of code that an emulator may have translated already is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from ntbdbg.lab.lab import Lab
from tests.support.fakekernel import FakeGuest
from tests.support.fakespace import LEAF, PAGE, WRITE
from tests.support.linuxlab import LinuxLab

GPA = 8 << 20
CODE, DATA = 0xFFFF_FFFF_C080_0000, 0xFFFF_FFFF_C080_1000


@pytest.mark.parametrize(
    ("accelerator", "place", "noted"),
    [
        ("tcg", f"{CODE + 16:#x}", True),
        ("tcg", f"{DATA + 16:#x}", False),
        ("tcg", f"{GPA + 16:#x}", True),
        ("tcg", f"{GPA + PAGE + 16:#x}", False),
        ("tcg", "0x1000", False),
        ("tcg", "jiffies_64", False),
        ("kvm", f"{CODE + 16:#x}", False),
    ],
)
def test_a_patch_of_code_that_an_emulator_has_translated(
    tmp_path: Path, accelerator: str, place: str, noted: bool
) -> None:
    def furnish(name: str, guest: FakeGuest) -> None:
        guest.space.map(CODE, GPA, PAGE, flags=LEAF & ~WRITE)
        guest.space.map(DATA, GPA + PAGE, PAGE)

    with LinuxLab(tmp_path / "run", furnish=furnish) as lab:
        lab.edit("qemu1", accelerator=accelerator)
        with Lab.open(lab.folder) as opened:
            opened.guest("qemu1").patch(place, b"\x90")
            assert (
                any("what has run there was translated" in note for note in opened.notes) == noted
            )
