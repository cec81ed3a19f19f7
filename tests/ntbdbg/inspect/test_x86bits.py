# SPDX-License-Identifier: MIT
"""Names of the bits of a processor's registers."""

from __future__ import annotations

import pytest

from ntbdbg.inspect.x86bits import bit_names, io_privilege, mode, pcid, ring


@pytest.mark.parametrize(
    ("register", "value", "names"),
    [
        ("rflags", 0x246, ["PF", "ZF", "IF"]),
        ("rflags", 0x3002, []),
        ("cr0", 0x80050033, ["PE", "MP", "ET", "NE", "WP", "AM", "PG"]),
        ("cr4", 1 << 12 | 1 << 17 | 1 << 63, ["LA57", "PCIDE", "bit 63"]),
        ("efer", 0xD01, ["SCE", "LME", "LMA", "NXE"]),
        ("efer", 0, []),
    ],
)
def test_bits_have_names(register: str, value: int, names: list[str]) -> None:
    assert bit_names(register, value) == names


def test_fields_that_are_no_bits() -> None:
    assert io_privilege(0x3202) == 3
    assert pcid(0x1234_5006, 1 << 17) == 6
    assert pcid(0x1234_5006, 0) is None, "these are no PCID without CR4.PCIDE"
    assert pcid(0x1234_5006, None) is None


LONG = {"cr0": 0x80050033, "efer": 0xD01}


@pytest.mark.parametrize(
    ("registers", "expected", "level"),
    [
        ({**LONG, "cs": 0x10, "cpl": 0}, "64-bit kernel", 0),
        ({**LONG, "cs": 0x33}, "64-bit user", 3),
        ({**LONG, "cs": 0x23}, "32-bit user", 3),
        ({"cs": 0x10}, "64-bit kernel", 0),
        ({"cr0": 0x11, "efer": 0, "cs": 0x10}, "32-bit kernel", 0),
        ({"cr0": 0x10, "cs": 0xF000}, "real mode", 0),
        ({"cr0": 0x11, "efer": 0, "rflags": 1 << 17, "cs": 3}, "virtual 8086 mode", 3),
        ({**LONG}, "64-bit unknown ring", None),
        ({**LONG, "cs": 0x11}, "64-bit ring 1", 1),
    ],
)
def test_modes(registers: dict[str, int], expected: str, level: int | None) -> None:
    assert mode(registers) == expected
    assert ring(registers) == level
