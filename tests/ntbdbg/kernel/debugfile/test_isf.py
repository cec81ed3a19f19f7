# SPDX-License-Identifier: MIT
"""volatility3's symbol files: what is in them, and that volatility reads it so."""

from __future__ import annotations

import base64
import json
from array import array
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.budget import Budget, SpentError
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.debugfile.circles import DEEPEST
from ntbdbg.kernel.debugfile.ctype import CType, find_ctype
from ntbdbg.kernel.debugfile.isf import isf
from ntbdbg.kernel.symbols.symbols import SymbolTable
from tests.support.btfwriter import BtfWriter

LINKED, SHIFT = 0xFFFF_FFFF_8100_0000, 0x1C00_0000
BANNER = b"Linux version 6.1.0\n\0"
PRODUCER = {"name": "ntbdbg", "version": "1"}


def written(btf: BtfWriter, budget: Budget | None = None) -> dict[str, Any]:
    names = ["Dinit_task", "Rlinux_banner", "dtwice", "Dtwice", "Arunqueues"]
    places = [LINKED, LINKED + 64, LINKED + 128, LINKED + 256]
    addresses = [*(place + SHIFT for place in places), 0x40]
    table = SymbolTable(array("Q", addresses), names)
    budget = budget or Budget()
    parsed = Btf.parse(btf.data())
    return isf(parsed, table, budget, shift=SHIFT, banner=BANNER, producer=PRODUCER)


@pytest.fixture
def btf() -> BtfWriter:
    made = BtfWriter()
    made.integer("int", 4, signed=True)
    made.integer("char", 1, signed=True, char=True)
    return made


def test_members_by_offset_and_kind(btf: BtfWriter) -> None:
    inner = btf.union("", 8, [("number", 1, 0), ("letters", btf.array(2, 8), 0)])
    state = btf.enum("state", [("OFF", 0), ("BAD", -1)], signed=True)
    alias = btf.typedef("state_t", btf.const(state))
    call = btf.pointer(btf.prototype(0, [("", 1)]))
    fields = [("", inner, 0, 0), ("flag", 1, 67, 3), ("state", alias, 96, 0), ("call", call, 128)]
    task = btf.struct("task_struct", 32, [*fields, ("next", btf.next_id + 1, 192)])
    assert btf.pointer(task) == task + 1
    made = written(btf)
    assert made["user_types"]["task_struct"] == {
        "kind": "struct",
        "size": 32,
        "fields": {
            "unnamed_field_0": {
                "type": {"kind": "union", "name": f"unnamed_{inner}"},
                "offset": 0,
                "anonymous": True,
            },
            "flag": {
                "type": {
                    "kind": "bitfield",
                    "bit_position": 3,
                    "bit_length": 3,
                    "type": {"kind": "base", "name": "int"},
                },
                "offset": 8,
            },
            "state": {"type": {"kind": "enum", "name": "state"}, "offset": 12},
            "call": {"type": {"kind": "pointer", "subtype": {"kind": "function"}}, "offset": 16},
            "next": {
                "type": {"kind": "pointer", "subtype": {"kind": "struct", "name": "task_struct"}},
                "offset": 24,
            },
        },
    }
    assert made["enums"]["state"] == {
        "size": 4, "base": "int", "constants": {"OFF": 0, "BAD": -1},
    }  # fmt: skip
    letters = made["user_types"][f"unnamed_{inner}"]["fields"]["letters"]["type"]
    assert letters == {"kind": "array", "count": 8, "subtype": {"kind": "base", "name": "char"}}
    base = {"size": 4, "signed": True, "kind": "int", "endian": "little"}
    assert made["base_types"]["int"] == base
    assert made["base_types"]["char"]["kind"] == "char"
    assert set(made["base_types"]) == {"int", "char", "void", "pointer"}


def test_symbols_are_where_the_kernel_was_linked(btf: BtfWriter) -> None:
    btf.struct("task_struct", 8, [("pid", 1, 0)])
    symbols = written(btf)["symbols"]
    assert symbols["init_task"]["address"] == LINKED
    assert symbols["init_task"]["type"] == {"kind": "struct", "name": "task_struct"}
    assert symbols["twice"] == {"address": LINKED + 256}, "the global one"
    assert symbols["runqueues"] == {"address": 0x40}, "an offset, which KASLR does not move"
    banner = symbols["linux_banner"]
    assert base64.b64decode(banner["constant_data"]) == BANNER
    assert banner["type"]["count"] == len(BANNER)


def test_the_first_of_a_name_has_it(btf: BtfWriter) -> None:
    btf.struct("slot", 4, [("first", 1, 0)])
    second = btf.struct("slot", 8, [("second", 1, 32)])
    btf.struct("user", 8, [("slot", second, 0)])
    types = written(btf)["user_types"]
    assert list(types["slot"]["fields"]) == ["first"]
    assert types["user"]["fields"]["slot"]["type"]["name"] == f"slot#{second}"
    assert list(types[f"slot#{second}"]["fields"]) == ["second"]


def test_types_that_make_no_sense_are_void_or_left_out(btf: BtfWriter) -> None:
    circle = btf.typedef("circle", btf.next_id)
    deep = btf.pointer(btf.next_id)
    nowhere = btf.pointer(5000)
    beyond = [("inside", 1, 0), ("beyond", 1, 32), ("half", 1, 16)]
    fields = [("circle", circle, 0), ("deep", deep, 0), ("nowhere", nowhere, 0)]
    btf.struct("odd", 5, beyond)
    btf.struct("holder", 8, fields)
    types = json.loads(json.dumps(written(btf)))["user_types"]
    assert list(types["odd"]["fields"]) == ["inside"]
    fields = types["holder"]["fields"]
    void = {"kind": "base", "name": "void"}
    assert fields["circle"]["type"] == void
    assert fields["nowhere"]["type"] == {"kind": "pointer", "subtype": void}
    assert fields["deep"]["type"]["kind"] == "pointer"


def test_chains_of_types_end(btf: BtfWriter) -> None:
    last = 1
    for _ in range(5000):
        last = btf.pointer(last)
    btf.struct("holder", 8, [("chain", last, 0)])
    described, length = written(btf)["user_types"]["holder"]["fields"]["chain"]["type"], 0
    while "subtype" in described:
        described, length = described["subtype"], length + 1
    assert 0 < length <= DEEPEST


def test_what_it_may_take_is_bounded(btf: BtfWriter) -> None:
    pointer = btf.pointer(1)
    for index in range(64):
        btf.struct(f"holder{index}", 8, [("member", pointer, 0)] * 8)
    with pytest.raises(SpentError):
        written(btf, Budget(items=1000))


def test_old_bit_fields_have_their_bits_in_the_integer(btf: BtfWriter) -> None:
    bits = btf.integer("int", 4, signed=True, bits=3, bit_offset=2)
    btf.struct("old", 4, [("field", bits, 8)])
    field = written(btf)["user_types"]["old"]["fields"]["field"]
    assert (field["offset"], field["type"]["bit_position"], field["type"]["bit_length"]) == (
        0,
        10,
        3,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("struct task_struct", CType(4)),
        ("const struct task_struct *[]", CType(4, 1, (-1,))),
        ("pid_t [4][2]", CType(5, 0, (4, 2))),
        ("volatile unsigned long", CType(3)),
        ("void **", CType(0, 2)),
        ("struct nothing", None),
        ("union task_struct", None),
        ("int (*)(void)", None),
        ("", None),
    ],
)
def test_types_as_c_writes_them(btf: BtfWriter, text: str, expected: CType | None) -> None:
    btf.integer("long unsigned int", 8)
    btf.struct("task_struct", 8, [])
    btf.typedef("pid_t", 1)
    assert find_ctype(Btf.parse(btf.data()), text) == expected


def test_arrays_without_a_length_have_as_many_as_there_is_room(btf: BtfWriter) -> None:
    parsed = Btf.parse(btf.data())
    assert CType(1, 0, (-1, 3)).filled(parsed, 50).lengths == (4, 3)
    assert CType(0, 0, (-1,)).filled(parsed, 50).lengths == (0,)
    assert CType(1, 1, (7,)).filled(parsed, 50).lengths == (7,)


def test_volatility_takes_it(btf: BtfWriter, tmp_path: Path) -> None:
    from volatility3.framework import contexts
    from volatility3.framework.symbols.intermed import IntermediateSymbolTable

    btf.struct("task_struct", 16, [("pid", 1, 64), ("flag", 1, 96, 2)])
    path = tmp_path / "kernel.json"
    path.write_text(json.dumps(written(btf)))
    context = contexts.Context()
    table = IntermediateSymbolTable(context, "here", "kernel", isf_url=path.as_uri())
    context.symbol_space.append(table)
    task = context.symbol_space.get_type("kernel!task_struct")
    assert (task.size, task.relative_child_offset("pid")) == (16, 8)
    init = context.symbol_space.get_symbol("kernel!init_task")
    assert (init.address, init.type.type_name) == (LINKED, "kernel!task_struct")
    assert context.symbol_space.get_symbol("kernel!linux_banner").constant_data == BANNER
