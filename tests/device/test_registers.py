# SPDX-License-Identifier: MIT
"""The NT function's registers: reset values, what can be written, what cannot."""

from __future__ import annotations

import pytest

from tests.device import port as nt
from tests.device.port import Port

Pair = tuple[Port, Port]

RESET_VALUES = {
    0x400: 0,
    0x404: 0,
    0x408: 0xBB,
    0x40C: 0,
    0x410: 0,
    0x414: 0,
    0x418: 0,
    0x420: 0,
    0x428: 0,
    0x42C: 0,
    **dict.fromkeys(range(0x430, 0x450, 4), 0),
    0x460: 0,
    0x464: 0,
    **dict.fromkeys(range(0x470, 0x4D0, 4), 0),
    0x470: 0x800004C0,
    0x490: 0x8000015C,
    0x4B0: 0x8000099C,
    0x4D0: 0,
    0x4D4: 0,
    0x4D8: 0,
    0x4DC: 0,
    **dict.fromkeys(range(0x4E0, 0x4F8, 4), 0),
    0xFF8: 0,
    0xFFC: 0,
}

# register: bits that can be written
STORAGE = {
    nt.NTINTMSK: 0xBB,
    nt.NTSDATA: nt.ALL_ONES,
    0x414: nt.ALL_ONES,
    0x418: nt.ALL_ONES,
    nt.INDBELLMSK: nt.ALL_ONES,
    nt.MSGSTSMSK: 0x000F000F,
    nt.BARSETUP2: 0x0000E000,
    nt.BARLIMIT2: nt.ALL_ONES,
    nt.BARLTBASE2: 0xFFFFFFFC,
    nt.BARUTBASE2: nt.ALL_ONES,
    nt.BARLIMIT3: nt.ALL_ONES,
    nt.BARSETUP4: 0x0000E000,
    nt.LUTOFFSET: 0x71F,
    nt.NTMTBLADDR: 0x7F,
    nt.GASAADDR: 0x3FFFC,
    nt.NTCTL: 0xF,
}

READ_ONLY = [
    nt.NTINTSTS,
    nt.NTGSIGNAL,
    nt.OUTDBELLSET,
    *range(nt.INMSG0, nt.MSGSTS, 4),
    nt.BARSETUP0,
    0x480,
    0x4A0,
    0x4C0,
    nt.REQIDCAP,
    *range(0x4F0, 0x500, 4),
    0x424,
    0x500,
    0x7FC,
    0xFF4,
]


def dump(port: Port) -> dict[int, int]:
    return {register: port.read(register) for register in range(0x400, 0x500, 4)}


def test_reset_values(pair: Pair) -> None:
    for port in pair:
        port.write(nt.GASAADDR, 0)  # the fixture has looked around
        got = {register: port.read(register) for register in RESET_VALUES}
        assert got == RESET_VALUES
        sources = [port.read(nt.INMSGSRC0 + 4 * m) for m in range(4)]
        assert sources == [1 - port.part] * 4


def test_everything_else_reads_zero(pair: Pair) -> None:
    a, _ = pair
    assert {a.read(register) for register in range(0x500, 0xFF8, 4)} == {0}


@pytest.mark.parametrize(("register", "mask"), STORAGE.items(), ids=lambda v: f"{v:#x}")
def test_writable_bits(pair: Pair, register: int, mask: int) -> None:
    a, _ = pair
    locked = a.read(register) & ~mask
    for value in (nt.ALL_ONES, 0, 0xA5A5A5A5, 0x5A5A5A5A):
        a.write(register, value)
        assert a.read(register) == value & mask | locked


@pytest.mark.parametrize("register", READ_ONLY, ids=hex)
def test_read_only_registers(pair: Pair, register: int) -> None:
    a, b = pair
    before = dump(a)
    a.write(register, 0xFFFFFFFE)  # without NTGSIGNAL's bit
    b.settle()
    after = dump(a)
    assert after == before


@pytest.mark.parametrize("value", [0, 2, 0xFFFFFFFE])
def test_ntgsignal_ignores_other_values(linked: Pair, value: int) -> None:
    a, b = linked
    a.write(nt.NTGSIGNAL, value)
    b.settle()
    assert b.read(nt.NTINTSTS) == 0
    assert a.read(nt.NTINTSTS) == 0


def test_mapping_table_entry_of_this_port(pair: Pair) -> None:
    a, _ = pair
    a.set_mapping(nt.ALL_ONES)
    assert a.read(nt.NTMTBLDATA) == 0xE00FFFFF
    assert a.read(nt.NTMTBLSTS) == 0
    a.set_mapping(0)
    assert a.read(nt.NTMTBLDATA) == 0


@pytest.mark.parametrize("index", [1, 2, 7, 8, 63, 65, 127])
def test_foreign_mapping_table_entries_are_refused(pair: Pair, index: int) -> None:
    a, b = pair
    b.set_mapping(0x3)
    a.settle()
    a.write(nt.NTMTBLADDR, index)
    assert a.read(nt.NTMTBLADDR) == index
    before = a.read(nt.NTMTBLDATA)
    assert before == (3 if index & 0x3F == 1 else 0)
    a.write(nt.NTMTBLDATA, 0x00020001)
    assert a.read(nt.NTMTBLSTS) == 1
    assert a.read(nt.NTMTBLDATA) == before
    assert b.read(nt.NTMTBLDATA) == 3
    a.write(nt.NTMTBLSTS, 0)
    assert a.read(nt.NTMTBLSTS) == 1
    a.write(nt.NTMTBLSTS, 1)
    assert a.read(nt.NTMTBLSTS) == 0


def test_mapping_table_index_64_is_entry_0(pair: Pair) -> None:
    a, _ = pair
    a.write(nt.NTMTBLADDR, 64)
    a.write(nt.NTMTBLDATA, 5)
    assert a.read(nt.NTMTBLSTS) == 0
    a.write(nt.NTMTBLADDR, 0)
    assert a.read(nt.NTMTBLDATA) == 5


def test_reset_undoes_everything(linked: Pair) -> None:
    a, b = linked
    for register, mask in STORAGE.items():
        if register != nt.NTCTL:
            a.write(register, mask)
    b.write(nt.OUTDBELLSET, 0xFF)
    b.send_message(0, 0, 0, 1)
    a.send_message(0, 7, 0, 1)
    assert a.read(nt.MSGSTS) == 0x00010001
    a.reset()
    a.setup()
    assert {register: a.read(register) for register in RESET_VALUES} == RESET_VALUES
    assert a.read(nt.MSGSTS) == 0


def test_shared_page_mirrors_the_registers(linked: Pair) -> None:
    a, b = linked
    a.write(nt.INDBELLMSK, 0xF0F0)
    a.write(nt.MSGSTSMSK, 0x3)
    a.set_window(0x100000, 0x10000)
    b.write(nt.OUTDBELLSET, 0xFF)
    b.send_message(2, 0, 2, 99)
    a.settle()
    assert a.read(nt.NTINTSTS) == nt.MSG | nt.DBELL
    mirrored = {
        "indbellmsk": nt.INDBELLMSK,
        "msgstsmsk": nt.MSGSTSMSK,
        "ntintsts": nt.NTINTSTS,
        "ntintmsk": nt.NTINTMSK,
    }
    for name, register in mirrored.items():
        assert a.stat(name) == a.read(register), name
    for name in ("semsk", "sepmsk", "selinkupmsk", "selinkdnmsk", "segsigmsk"):
        assert a.stat(name) == a.gasa_read(getattr(nt, name.upper())), name
    assert a.page.get_all(0, "bar_addr")[:3] == (a.bar0, 2**64 - 1, a.bar2)
    image = {register: a.page.image(0, register) for register in range(0x400, 0x500, 4)}
    assert image == dump(a)
