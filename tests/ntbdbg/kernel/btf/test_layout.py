# SPDX-License-Identifier: MIT
"""Structures taken apart by types that may lie about every size and length."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.layout import Layouts, Record
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.memory.buffer import BufferMemory
from tests.support.btfwriter import BtfWriter


def layouts() -> Layouts:
    made = BtfWriter()
    u32, u64 = made.integer("u32", 4), made.integer("u64", 8)
    huge = made.array(u32, 0xFFFF_FFFF)
    rows = made.array(u32, 4)
    blob = made.array(made.integer("char", 1, char=True), 4000)
    rest = made.array(u64, 0)
    nothing = made.struct("nothing", 0, [])
    nothings = made.array(nothing, 0xFFFF_FFFF)
    fields = [
        ("count", u32, 0),
        ("rows", rows, 32),
        ("endless", huge, 160),
        ("nothings", nothings, 160),
        ("blob", blob, 256),
        ("outside", u64, 8 * 4090),
        ("far", u32, 8 * 100_000),
        ("flags", u32, 8 * 4064),
        ("rest", rest, 8 * 4096),
    ]
    made.struct("item", 4096, fields)
    made.struct("bits", 4, [("low", u32, 0, 3), ("high", u32, 29, 3), ("beyond", u32, 30, 8)])
    return Layouts(Btf.parse(made.data()))


@pytest.fixture
def record() -> Record:
    raw = bytearray(4096)
    raw[0:4] = (7).to_bytes(4, "little")
    raw[8:12] = (9).to_bytes(4, "little")
    return Record(layouts()["item"], 0x1000, bytes(raw))


def test_what_lies_within_is_read(record: Record) -> None:
    assert (record.number("count"), record.number("rows[1]")) == (7, 9)
    assert record.at("flags") == 0x1000 + 4064
    assert record.layout.find("rest").size == 0
    assert record.text("blob") == ""


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda item: item.number("outside"), "member outside ends at 4098"),
        (lambda item: item.number("far"), "member far ends at 100004"),
        (lambda item: item.bytes("endless"), "member endless ends at"),
        (lambda item: item.at("rows[4]"), "has no member rows\\[4\\]"),
        (lambda item: item.number("endless[5000]"), "member endless\\[5000\\] ends at"),
        (lambda item: item.number("blob"), "member blob has 4000 bytes, which is no number"),
        (lambda item: item.signed("blob"), "member blob has 4000 bytes, which is no number"),
        (lambda item: item.number("rest"), "member rest has 0 bytes, which is no number"),
    ],
)
def test_what_does_not_is_refused(
    record: Record, ask: Callable[[Record], object], words: str
) -> None:
    with pytest.raises(KernelError, match=f"struct item of this kernel.* {words}|{words}"):
        ask(record)


def test_a_bit_field_beyond_the_end_is_refused() -> None:
    bits = Record(layouts()["bits"], 0, b"\xff\xff\xff\xff")
    assert (bits.number("low"), bits.number("high")) == (7, 7)
    with pytest.raises(KernelError, match="member beyond ends"):
        bits.number("beyond")


def test_an_array_is_as_long_as_its_structure_lets_it(record: Record) -> None:
    layout = record.layout
    assert layout.length("rows", 64) == 4
    assert layout.length("rows", 3) == 3
    assert layout.length("endless", 64) == 64
    assert layout.length("endless", 1 << 40) == (4096 - 20) // 4
    assert layout.length("nothings", 16) == 16
    assert layout.length("rest", 16) == 0
    with pytest.raises(KernelError, match="is a INT, not a ARRAY"):
        layout.length("count", 16)


def test_a_number_is_read_without_the_rest_of_its_structure() -> None:
    memory = BufferMemory(bytes(4) + (5).to_bytes(4, "little") + bytes(8))
    assert layouts()["item"].read_number(memory, 0, "rows[0]") == 5
    with pytest.raises(KernelError, match="is no number"):
        layouts()["item"].read_number(memory, 0, "blob")
