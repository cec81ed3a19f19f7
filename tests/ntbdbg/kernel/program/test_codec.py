# SPDX-License-Identifier: MIT
"""Kernel types to values and back, and single members changed."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from drgn import Architecture, Platform, Program
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import KernelError, UsageError
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.program.codec import Codec
from ntbdbg.kernel.program.finder import register_btf
from ntbdbg.kernel.values.forms import REST
from ntbdbg.kernel.values.shape import Array, Compound, Scalar, Shape, Slot
from tests.support.btfwriter import BtfWriter

INT = Scalar("int", 4, "int", is_signed=True)
U8, U16, U64 = (Scalar(f"u{8 * size}", size, "int") for size in (1, 2, 8))
CHAR = Scalar("char", 1, "char", is_signed=True)
BOOL = Scalar("bool", 1, "bool")
FLOAT, DOUBLE = Scalar("float", 4, "float"), Scalar("double", 8, "float")
STATE = Scalar("enum state", 4, "enum", names={0: "IDLE", 1: "BUSY", 7: "GONE"})
SIGNED = Scalar("enum s", 4, "enum", is_signed=True, names={-1: "NONE"})
POINTER = Scalar("struct node *", 8, "pointer")


def array(element: Shape, length: int) -> Array:
    return Array(f"{element.name} [{length}]", element.size * length, element, length)


def compound(kind: str, size: int, *slots: Slot, name: str = "s") -> Compound:
    return Compound(f"{kind} {name}", size, kind, lambda: list(slots))


def both(shape: Shape, data: bytes, value: Any) -> None:
    """`data` means `value`, and the other way about."""
    codec = Codec(shape)
    assert codec.parse(data) == value
    assert codec.build(value) == data
    assert codec.construct.parse(data) == value
    assert codec.construct.build(value) == data
    assert codec.construct.sizeof() == codec.sizeof == len(data)


@pytest.mark.parametrize(
    ("shape", "data", "value"),
    [
        (INT, b"\xfe\xff\xff\xff", -2),
        (U64, b"\xfe" + b"\xff" * 7, (1 << 64) - 2),
        (Scalar("__int128", 16, "int", is_signed=True), b"\xff" * 16, -1),
        (CHAR, b"\xff", -1),
        (BOOL, b"\0", False),
        (BOOL, b"\x01", True),
        (BOOL, b"\x07", 7),
        (STATE, b"\x01\0\0\0", "BUSY"),
        (STATE, b"\x05\0\0\0", 5),
        (SIGNED, b"\xff\xff\xff\xff", "NONE"),
        (FLOAT, struct.pack("<f", 1.5), 1.5),
        (DOUBLE, struct.pack("<d", -math.inf), -math.inf),
        (FLOAT, b"\x01\0\x80\x7f", b"\x01\0\x80\x7f"),  # a NaN whose payload Python would change
        (Scalar("long double", 16, "float"), bytes(15) + b"\x40", 0x40 << 120),
        (POINTER, b"\x10" + bytes(7), 16),
        (array(INT, 2), struct.pack("<2i", 1, -1), [1, -1]),
        (array(U8, 3), b"\1\2\3", b"\1\2\3"),
        (array(CHAR, 6), b"qemu1\0", "qemu1"),
        (array(CHAR, 6), bytes(6), ""),
        (array(CHAR, 4), b"full", b"full"),
        (array(CHAR, 6), b"a\0junk", b"a\0junk"),
        (array(CHAR, 4), b"\xff\0\0\0", b"\xff\0\0\0"),
        (array(CHAR, 0), b"", b""),
        (array(array(CHAR, 2), 2), b"a\0b\0", ["a", "b"]),
        (Shape("struct opaque", 0), b"", b""),
    ],
    ids=str,
)
def test_values(shape: Shape, data: bytes, value: Any) -> None:
    both(shape, data, value)
    assert type(Codec(shape).parse(data)) is type(value)


def test_a_structure() -> None:
    shape = compound("struct", 16, Slot("a", U8, 0), Slot("p", POINTER, 8))
    both(shape, b"\x05" + bytes(7) + b"\x10" + bytes(7), {"a": 5, "p": 16})
    both(
        shape, bytes(range(16)), {"a": 0, "p": 0x0F0E0D0C0B0A0908, REST: bytes(range(8)) + bytes(8)}
    )
    assert Codec(shape).build({"a": 1}) == b"\1" + bytes(15)
    assert Codec(shape).build({}) == bytes(16)


def test_bit_fields() -> None:
    shape = compound(
        "struct",
        8,
        Slot("low", INT, 0, 0, 3),
        Slot("state", STATE, 0, 3, 3),
        Slot("wide", U64, 0, 6, 40),
        Slot("flag", BOOL, 7, 0, 1),
    )
    both(
        shape,
        bytes([0b01_001_101]) + bytes(7),
        {"low": -3, "state": "BUSY", "wide": 1, "flag": False},
    )
    value = {"low": -1, "state": 2, "wide": (1 << 40) - 1, "flag": True}
    assert Codec(shape).parse(Codec(shape).build(value)) == value
    for name, bad in (("low", 4), ("state", 8), ("state", "NO"), ("wide", 1 << 40), ("low", "x")):
        with pytest.raises(UsageError):
            Codec(shape).build({name: bad})


def test_a_union_is_built_from_what_was_changed() -> None:
    shape = compound(
        "union", 8, Slot("whole", U64, 0), Slot("half", INT, 0), Slot("bytes", array(U8, 8), 0)
    )
    codec = Codec(shape)
    data = bytes(range(1, 9))
    value = codec.parse(data)
    assert value == {"whole": 0x0807060504030201, "half": 0x04030201, "bytes": data, REST: data}
    assert codec.build(value) == data
    assert codec.build(value | {"half": 5}) == b"\5\0\0\0\5\6\7\x08"
    assert codec.build({"half": -1}) == b"\xff" * 4 + bytes(4)
    assert codec.build({"bytes": data, "half": 0x04030201}) == data
    with pytest.raises(UsageError, match="contradict"):
        codec.build({"whole": 1, "half": 2})


def test_anonymous_members_belong_to_the_structure_around_them() -> None:
    inner = compound("struct", 8, Slot("x", INT, 0), Slot("y", INT, 4))
    union = compound("union", 8, Slot("", inner, 0), Slot("both", U64, 0))
    shape = compound("struct", 12, Slot("a", INT, 0), Slot("", union, 4))
    codec = Codec(shape)
    data = struct.pack("<3i", 1, 2, 3)
    value = codec.parse(data)
    assert value == {"a": 1, "x": 2, "y": 3, "both": 3 << 32 | 2, REST: bytes(4) + data[4:]}
    assert codec.build(value | {"y": 9}) == struct.pack("<3i", 1, 2, 9)
    assert codec.find("y") == Slot("y", INT, 8)


@pytest.mark.parametrize(
    ("shape", "value", "why"),
    [
        (INT, 1 << 31, "does not fit int"),
        (U8, -1, "it holds 0 to 255"),
        (INT, 1.5, "no value for int"),
        (INT, None, "no value for int"),
        (INT, "many", "give a number"),
        (STATE, "WORKING", "it knows IDLE, BUSY, GONE"),
        (FLOAT, 1e300, "does not fit float"),
        (array(CHAR, 4), "four", "too long"),
        (array(CHAR, 8), "a\0b", "NUL"),
        (array(INT, 2), [1], "expected 2"),
        (array(INT, 2), 5, "no list"),
        (array(U8, 2), b"abc", "room for 2"),
        (array(U8, 2), 5, "no bytes"),
        (array(CHAR, 2), 5, "no bytes"),
        (compound("struct", 4, Slot("a", INT, 0)), {"b": 1}, "no member 'b'"),
        (compound("struct", 4, Slot("a", INT, 0)), 5, "from its members"),
        (compound("struct", 4, Slot("a", INT, 0)), {REST: bytes(5)}, "has 5 bytes"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(shape: Shape, value: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Codec(shape).build(value)


def test_a_flexible_array_takes_the_bytes_behind() -> None:
    flexible = Array("u16 []", 0, U16, 0, is_flexible=True)
    codec = Codec(compound("struct", 4, Slot("n", U8, 0), Slot("items", flexible, 2)))
    assert codec.parse(b"\1\0\0\0") == {"n": 1, "items": []}
    assert codec.parse(b"\1\0\2\0\3\0\4\0") == {"n": 1, "items": [2, 3, 4]}
    assert codec.build({"n": 1, "items": [2, 3, 4]}) == b"\1\0\2\0\3\0\4\0"
    assert codec.build({"n": 1}) == b"\1\0\0\0"
    assert codec.build({"n": 1, "items": [2]}) == b"\1\0\2\0"
    assert codec.build(codec.parse(b"\1\0\2\0\3")) == b"\1\0\2\0\3"
    for size in (3, 0):
        with pytest.raises(UsageError, match=f"has 4 bytes, not {size}"):
            codec.parse(bytes(size))
    with pytest.raises(UsageError, match="has 4 bytes, not 5"):
        Codec(INT).parse(bytes(5))


# -- single members --------------------------------------------------------------------------


@pytest.fixture
def nested() -> Codec:
    inner = compound(
        "struct",
        12,
        Slot("f", U8, 0, 2, 3),
        Slot("n", array(U16, 3), 2),
        Slot("c", array(CHAR, 4), 8),
    )
    return Codec(compound("struct", 28, Slot("list", array(inner, 2), 4), Slot("p", POINTER, 0)))


def test_one_member_is_changed_and_no_bit_else(nested: Codec) -> None:
    old = b"\xff" * 28
    assert nested.patch(old, "list[1].f", 0) == b"\xff" * 16 + b"\xe3" + b"\xff" * 11
    assert nested.patch(old, "list[0].n[2]", 0x1234) == b"\xff" * 10 + b"\x34\x12" + b"\xff" * 16
    assert nested.patch(old, "list[0].c", "hi") == b"\xff" * 12 + b"hi\0\0" + b"\xff" * 12
    assert (
        nested.patch(old, "list[0]", {"f": 1}) == b"\xff" * 4 + b"\x04" + bytes(11) + b"\xff" * 12
    )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("lisst", "similar: list"),
        ("list[2]", "its last element is \\[1\\]"),
        ("list.f", "has no members"),
        ("list[0].f.x", "has no members"),
        ("p.next", "decode the pointer's value"),
        ("p[0]", "is no array"),
        ("list[0].g", "it has: f, n, c"),
        ("[1]", "is no array"),
        ("list[", "no members"),
    ],
)
def test_members_that_are_not_there(nested: Codec, path: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        nested.find(path)


def test_a_member_beyond_the_bytes_is_refused(nested: Codec) -> None:
    with pytest.raises(UsageError, match="beyond its 20 bytes"):
        nested.patch(bytes(20), "list[1].c", "x")


# -- any type, any bytes ---------------------------------------------------------------------

SCALARS = st.sampled_from([INT, U8, U16, U64, CHAR, BOOL, FLOAT, DOUBLE, STATE, SIGNED, POINTER])
NAMES = st.sampled_from(list("abcdefgh"))


@st.composite
def compounds(draw: st.DrawFn, inner: st.SearchStrategy[Shape]) -> Shape:
    """Members anywhere, overlapping or not, some of them bit fields, some anonymous."""
    size = draw(st.integers(1, 40))
    slots = []
    for shape in draw(st.lists(inner, max_size=6)):
        if shape.size > size:
            continue
        offset = draw(st.integers(0, size - shape.size))
        is_number = isinstance(shape, Scalar) and shape.kind in ("int", "enum", "bool")
        if is_number and draw(st.booleans()):
            shift = draw(st.integers(0, 8 * shape.size - 1))
            bits = draw(st.integers(1, 8 * shape.size - shift))
            slots.append(Slot(draw(NAMES), shape, offset + shift // 8, shift % 8, bits))
        else:
            slots.append(Slot(draw(NAMES | st.just("")), shape, offset))
    return compound(draw(st.sampled_from(["struct", "union"])), size, *slots)


def arrays(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    return st.builds(array, inner, st.integers(0, 4))


SHAPES = st.recursive(SCALARS, lambda inner: arrays(inner) | compounds(inner), max_leaves=12)


@given(SHAPES, st.data())
def test_nothing_is_lost(shape: Shape, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=shape.size, max_size=shape.size))
    codec = Codec(shape)
    value = codec.parse(raw)
    assert codec.build(value) == raw
    assert repr(codec.parse(codec.build(value))) == repr(value)


@given(SHAPES, st.data())
def test_every_member_is_found_and_put_back(shape: Shape, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=shape.size, max_size=shape.size))
    codec = Codec(shape)
    value = codec.parse(raw)
    for name in value if isinstance(value, dict) else ():
        if name != REST:
            assert codec.patch(raw, name, value[name]) == raw


# -- from drgn -------------------------------------------------------------------------------


def test_drgn_types_have_shapes() -> None:
    written = BtfWriter()
    written.integer("int", 4, signed=True)
    written.integer("char", 1, signed=True)
    written.struct(
        "everything",
        40,
        [
            ("number", written.typedef("s32", 1), 0),
            ("bits", 1, 37, 5),
            ("name", written.array(2, 8), 64),
            ("ok", written.integer("_Bool", 1, boolean=True), 128),
            ("ratio", written.floating("float", 4), 160),
            ("state", written.enum("state", [("A", 1), ("B", 1), ("C", 2)]), 192),
            ("", written.union("", 4, [("u", 1, 0), ("v", 2, 0)]), 224),
            ("call", written.pointer(written.prototype(0)), 256),
            ("rest", written.array(2, 0), 320),
        ],
    )
    prog = Program(Platform(Architecture.X86_64))
    register_btf(prog, Btf.parse(written.data()))
    codec = Codec.of(prog.type("struct everything"))
    assert (codec.name, codec.sizeof) == ("struct everything", 40)
    data = struct.pack("<iI8sB3xf", -5, 0b10101 << 5, b"abc", 1, 0.5) + struct.pack(
        "<IiQ", 1, 66, 0xFFFFFFFF81000000
    )
    value = codec.parse(data + b"tail\0")
    assert value.pop(REST)[28:32] == b"B\0\0\0"
    assert value == {
        "number": -5, "bits": -11, "name": "abc", "ok": True, "ratio": 0.5, "state": "A",
        "u": 66, "v": 66, "call": 0xFFFFFFFF81000000, "rest": "tail",
    }  # fmt: skip
    assert Codec.of(prog.type("int")).name == "int"
    assert codec.find("call").shape.name == "void (*)(void)"


def test_types_beyond_measure_are_refused() -> None:
    with pytest.raises(KernelError, match="too many"):
        Codec(array(U64, 1 << 40))
    deep: Shape = INT
    for _ in range(100):
        deep = compound("struct", 4, Slot("", deep, 0))
    assert Codec(deep).parse(bytes(4)) == {}
    for _ in range(100):
        deep = compound("struct", 4, Slot("a", deep, 0))
    with pytest.raises(KernelError, match="more than 64"):
        Codec(deep).parse(bytes(4))
    endless = Compound("struct self", 4, "struct", lambda: [Slot("", endless, 0)] * 2)
    with pytest.raises(KernelError, match="contains itself"):
        Codec(endless).parse(bytes(4))
    with pytest.raises(KernelError, match="reaches beyond its end"):
        Codec(compound("struct", 4, Slot("a", U64, 0))).parse(bytes(4))
    with pytest.raises(KernelError, match="too many elements"):
        Codec(array(compound("struct", 0), 1 << 30)).parse(b"")
