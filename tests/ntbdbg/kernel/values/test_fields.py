# SPDX-License-Identifier: MIT
"""What is shown of a type's bytes."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.values.fields import MAX_FIELDS, Field, FieldOptions, fields
from ntbdbg.kernel.values.shape import Array, Compound, Shape, Slot
from tests.ntbdbg.kernel.program.test_codec import (
    BOOL,
    CHAR,
    FLOAT,
    INT,
    POINTER,
    SHAPES,
    STATE,
    U8,
    U16,
    U64,
    array,
    compound,
)


def shown(shape: Shape | Slot, data: bytes, **options: Any) -> list[tuple[Any, ...]]:
    """Depth, offset, path, kind, value and meaning of each field."""
    found = fields(shape, data, FieldOptions(**options))
    return [(f.depth, f.offset, f.path, f.kind, f.value, f.meaning) for f in found]


LIST = compound("struct", 16, Slot("next", POINTER, 0), Slot("prev", POINTER, 8), name="list_head")
COUNTER = compound("struct", 4, Slot("counter", INT, 0), name="atomic")
NODE = compound(
    "struct",
    48,
    Slot("list", LIST, 0),
    Slot("refs", compound("struct", 4, Slot("refs", COUNTER, 0)), 16),
    Slot("flag", BOOL, 20, 1, 1),
    Slot("state", STATE, 24),
    Slot("", compound("union", 4, Slot("i", INT, 0), Slot("f", FLOAT, 0)), 28),
    Slot("name", array(CHAR, 8), 32),
    Slot("pairs", array(compound("struct", 4, Slot("a", U16, 0), Slot("b", U16, 2)), 2), 40),
    name="node",
)
DATA = (
    struct.pack("<QQiBxxxif8s", 0xFFFF888000001000, 0, 3, 2, 7, 1.5, b"pci")
    + struct.pack("<4H", 1, 2, 3, 4)
)  # fmt: skip


def test_every_member_in_order() -> None:
    names = {0xFFFF888000001000: "init_task+0x8"}
    assert shown(NODE, DATA, name_of=names.get) == [
        (0, 0, "list", "struct", None, ""),
        (1, 0, "list.next", "pointer", 0xFFFF888000001000, "init_task+0x8"),
        (1, 8, "list.prev", "pointer", 0, ""),
        (0, 16, "refs.refs.counter", "int", 3, ""),
        (0, 20, "flag", "bool", 1, ""),
        (0, 24, "state", "enum", 7, "GONE"),
        (0, 28, "i", "int", 0x3FC00000, ""),
        (0, 28, "f", "float", 1.5, ""),
        (0, 32, "name", "text", "pci", ""),
        (0, 40, "pairs", "array", None, ""),
        (1, 40, "pairs[0]", "struct", None, ""),
        (2, 40, "pairs[0].a", "int", 1, ""),
        (2, 42, "pairs[0].b", "int", 2, ""),
        (1, 44, "pairs[1]", "struct", None, ""),
        (2, 44, "pairs[1].a", "int", 3, ""),
        (2, 46, "pairs[1].b", "int", 4, ""),
    ]


def test_depth_and_elements() -> None:
    assert [path for _, _, path, *_ in shown(NODE, DATA, depth=1)] == [
        "list", "refs.refs.counter", "flag", "state", "i", "f", "name", "pairs",
    ]  # fmt: skip
    assert shown(NODE, DATA, depth=2)[-2:] == [
        (1, 40, "pairs[0]", "struct", None, ""),
        (1, 44, "pairs[1]", "struct", None, ""),
    ]
    assert shown(NODE, DATA, elements=1)[-1] == (1, 40, "pairs", "cut", None, "1 more elements")


def test_a_bit_field_says_which_bits() -> None:
    flag = next(f for f in fields(NODE, DATA) if f.name == "flag")
    assert (flag.offset, flag.size, flag.bit_offset, flag.bit_size) == (20, 1, 1, 1)
    assert next(fields(NODE, DATA)).bit_size is None


@pytest.mark.parametrize(
    ("shape", "data", "kind", "value", "meaning"),
    [
        (INT, b"\xff" * 4, "int", -1, ""),
        (POINTER, bytes(8), "pointer", 0, ""),
        (STATE, b"\5\0\0\0", "enum", 5, ""),
        (array(CHAR, 4), b"ab\0c", "text", "ab", "other bytes follow"),
        (array(CHAR, 4), b"abcd", "text", "abcd", "no NUL at its end"),
        (array(CHAR, 4), b"\1bcd", "bytes", b"\1bcd", ""),
        (array(CHAR, 4), b"\xffbc\0", "bytes", b"\xffbc\0", ""),
        (array(CHAR, 0), b"", "text", "", ""),
        (array(U8, 4), b"abcd", "bytes", b"abcd", ""),
        (array(U16, 2), b"\1\0\2\0", "numbers", (1, 2), ""),
        (array(FLOAT, 1), struct.pack("<f", 0.5), "numbers", (0.5,), ""),
        (Shape("void", 0), b"", "void", None, ""),
        (Slot("f", U8, 0, 2, 3), b"\x14", "int", 5, ""),
        (U64, b"short", "outside", None, "beyond what holds it"),
    ],
)
def test_a_type_that_is_no_structure(
    shape: Shape | Slot, data: bytes, kind: str, value: Any, meaning: str
) -> None:
    assert shown(shape, data) == [(0, 0, "", kind, value, meaning)]


def test_long_arrays_of_numbers_are_cut() -> None:
    assert shown(array(U16, 4), bytes(8), elements=3) == [
        (0, 0, "", "numbers", (0, 0, 0), "1 more")
    ]


def test_a_flexible_array_is_as_long_as_its_memory() -> None:
    flexible = Array("u16 []", 0, U16, 0, is_flexible=True)
    shape = compound("struct", 4, Slot("n", INT, 0), Slot("items", flexible, 4))
    assert shown(shape, bytes(4))[1][4] == ()
    assert shown(shape, bytes(4) + b"\1\0\2\0\3")[1][4] == (1, 2)
    pairs = Array(
        "struct p []", 0, compound("struct", 2, Slot("x", U8, 0), Slot("y", U8, 1)), 0, True
    )
    shape = compound("struct", 2, Slot("n", U16, 0), Slot("items", pairs, 2))
    assert [path for _, _, path, *_ in shown(shape, bytes(6))][-3:] == [
        "items[1]", "items[1].x", "items[1].y",
    ]  # fmt: skip


def test_zeros_are_known() -> None:
    zeros = [f.is_zero for f in fields(NODE, bytes(48)) if f.kind not in ("struct", "array")]
    assert zeros
    assert all(zeros)
    assert not any(f.is_zero for f in fields(array(U16, 2), b"\0\0\1\0"))


def test_what_has_no_end_is_cut() -> None:
    empty = compound("struct", 0)
    huge = array(array(array(empty, 1 << 30), 1 << 30), 1 << 30)
    found: list[Field] = list(fields(huge, b""))
    assert len(found) == MAX_FIELDS + 1
    assert found[-1].kind == "cut"
    endless = Compound("struct self", 4, "struct", lambda: [Slot("", endless, 0)])
    with pytest.raises(KernelError, match="contains itself"):
        list(fields(endless, bytes(4)))
    deep = Compound("struct self", 4, "struct", lambda: [Slot("a", deep, 0), Slot("x", INT, 0)])
    assert len(list(fields(deep, bytes(4)))) < 200


@given(SHAPES, st.data())
def test_every_field_lies_within(shape: Shape, data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=shape.size + 3))
    for field in fields(shape, raw):
        end = field.offset + field.size
        assert field.kind in ("outside", "void") or end <= len(raw) or not field.size
        assert (field.value is None) == (field.kind in ("outside", "struct", "union", "array"))
