# SPDX-License-Identifier: MIT
"""Values of known types as users write them."""

from __future__ import annotations

import struct

import pytest

from ntbdbg.errors import UsageError
from ntbdbg.inspect.typedvalue import typed_value
from ntbdbg.kernel.values.shape import Shape, Slot
from tests.ntbdbg.kernel.program.test_codec import (
    BOOL,
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    POINTER,
    SIGNED,
    STATE,
    U8,
    U16,
    array,
    compound,
)

SYMBOLS = {"init_task": 0xFFFFFFFF81000000}


def stored(shape: Shape | Slot, text: str, old: bytes | None = None) -> bytes:
    slot = shape if isinstance(shape, Slot) else Slot("m", shape, 0)
    return typed_value(slot, bytes(slot.size) if old is None else old, text, SYMBOLS.__getitem__)


@pytest.mark.parametrize(
    ("shape", "text", "data"),
    [
        (INT, "5", struct.pack("<i", 5)),
        (INT, "-1", b"\xff" * 4),
        (INT, "0x10", struct.pack("<i", 16)),
        (U16, "4K", struct.pack("<H", 4096)),
        (CHAR, "65", b"A"),
        (BOOL, "true", b"\1"),
        (BOOL, "No", b"\0"),
        (BOOL, "1", b"\1"),
        (BOOL, "2", b"\2"),  # as memory can hold it
        (STATE, "BUSY", b"\1\0\0\0"),
        (STATE, "9", b"\x09\0\0\0"),
        (SIGNED, "NONE", b"\xff" * 4),
        (FLOAT, "1.5", struct.pack("<f", 1.5)),
        (DOUBLE, "-2", struct.pack("<d", -2.0)),
        (POINTER, "init_task", struct.pack("<Q", 0xFFFFFFFF81000000)),
        (POINTER, "NULL", bytes(8)),
        (POINTER, "0xffff888000000000", struct.pack("<Q", 0xFFFF888000000000)),
        (array(CHAR, 8), "changed", b"changed\0"),
        (array(CHAR, 8), "a: b", b"a: b\0\0\0\0"),
        (array(CHAR, 8), "str:raw", b"raw"),
        (array(U16, 2), "1, 0x2", b"\1\0\2\0"),
        (array(STATE, 2), "BUSY,0", b"\1\0\0\0\0\0\0\0"),
        (array(U8, 4), "hex:de ad", b"\xde\xad"),
        (INT, "u32:7", b"\7\0\0\0"),
        (compound("struct", 4, Slot("a", INT, 0)), "hex:01020304", b"\1\2\3\4"),
    ],
)
def test_values(shape: Shape, text: str, data: bytes) -> None:
    assert stored(shape, text) == data


def test_a_bit_field_keeps_its_neighbours() -> None:
    slot = Slot("state", STATE, 0, 3, 3)
    assert stored(slot, "GONE", b"\xc5") == b"\xfd"
    assert stored(slot, "IDLE", b"\xff") == b"\xc7"


@pytest.mark.parametrize(
    ("shape", "text", "why"),
    [
        (INT, "five", "'five' is no value for int; a number, or a value looks like"),
        (INT, "2147483648", "does not fit int"),
        (INT, "", "no value for int"),
        (U8, "-1", "it holds 0 to 255"),
        (STATE, "WORKING", "it knows IDLE, BUSY, GONE"),
        (FLOAT, "much", "no value for float"),
        (array(CHAR, 4), "four", "too long"),
        (array(U8, 4), "1,2,3,4", "write its bytes as hex:"),
        (array(U16, 2), "1", "expected 2"),
        (compound("struct", 4, Slot("a", INT, 0)), "5", "name one of its members"),
        (INT, "u64:5", "8 bytes do not fit int of 4 bytes"),
        (Slot("bits", INT, 0, 0, 3), "u32:5", "do not fit int of 3 bits"),
        (Slot("bits", U8, 0, 0, 3), "8", "it holds 0 to 7"),
        (INT, "re:x", "pattern"),
    ],
)
def test_values_that_do_not_fit(shape: Shape, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        stored(shape, text)
