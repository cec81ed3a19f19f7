# SPDX-License-Identifier: MIT
"""The reader of BTF against what the writer wrote, and against bytes that nobody wrote."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.format import HEADER, ITEM_WORDS, Kind, Order
from ntbdbg.kernel.btf.layout import Layouts
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.btf.records import (
    Array,
    Entry,
    Enumerator,
    Integer,
    Member,
    Parameter,
    SectionVariable,
)
from tests.support.btfwriter import BtfWriter

ORDERS = ("little", "big")


def every_kind(order: Any = "little") -> tuple[BtfWriter, dict[str, int]]:
    """One type of each kind, by its name."""
    btf = BtfWriter(order=order)
    ids = {"int": btf.integer("int", 4, signed=True)}
    ids["char"] = btf.integer("char", 1, signed=True, char=True)
    ids["bool"] = btf.integer("_Bool", 1, boolean=True)
    ids["old"] = btf.integer("old", 4, bits=3, bit_offset=5)
    ids["double"] = btf.floating("double", 8)
    ids["const"] = btf.const(ids["int"])
    ids["volatile"] = btf.volatile(ids["const"])
    ids["restrict"] = btf.restrict(btf.pointer(0))
    ids["tag"] = btf.type_tag("__user", ids["volatile"])
    ids["alias"] = btf.typedef("alias", ids["tag"])
    ids["array"] = btf.array(ids["int"], 7)
    ids["struct"] = btf.struct(
        "point", 12, [("x", ids["int"], 0), ("f", ids["int"], 32, 3), ("", ids["array"], 64)]
    )
    ids["union"] = btf.union("both", 4, [("a", ids["int"], 0), ("b", ids["char"], 0)])
    ids["enum"] = btf.enum("colour", [("RED", 0), ("NONE", -1)], signed=True)
    ids["plain"] = btf.enum("plain", [("BIG", 0xFFFFFFFF)])
    ids["enum64"] = btf.enum64("wide", [("HUGE", 1 << 63), ("LOW", 5)])
    ids["signed64"] = btf.enum64("less", [("MINUS", -2)], signed=True)
    ids["forward"] = btf.forward("later")
    ids["forward_union"] = btf.forward("other", union=True)
    ids["proto"] = btf.prototype(ids["int"], [("count", ids["int"]), ("", 0)])
    ids["function"] = btf.function("printk", ids["proto"], 1)
    ids["var"] = btf.variable("runqueues", ids["struct"], 1)
    ids["section"] = btf.section(".data..percpu", 64, [(ids["var"], 16, 12)])
    ids["decl"] = btf.decl_tag("kfunc", ids["function"])
    ids["decl_member"] = btf.decl_tag("rcu", ids["struct"], 2)
    return btf, ids


@pytest.mark.parametrize("order", ORDERS)
def test_every_kind(order: str) -> None:
    written, ids = every_kind(order)
    btf = Btf.parse(written.data())
    assert btf.partial is None
    assert len(btf) == written.next_id
    number = ids["int"]
    assert btf.entry(number) == Entry(Kind.INT, "int", 0, False, 4)
    assert btf.integer(number) == Integer(32, 0, True, False, False)
    assert btf.integer(ids["char"]) == Integer(8, 0, True, True, False)
    assert btf.integer(ids["bool"]) == Integer(8, 0, False, False, True)
    assert btf.integer(ids["old"]) == Integer(3, 5, False, False, False)
    assert (btf.kind(ids["double"]), btf.entry(ids["double"]).size) == (Kind.FLOAT, 8)
    assert btf.array(ids["array"]) == Array(number, 1, 7)
    assert btf.members(ids["struct"]) == [
        Member("x", number, 0, None),
        Member("f", number, 32, 3),
        Member("", ids["array"], 64, None),
    ]
    assert btf.entry(ids["struct"]).size == 12
    assert btf.members(ids["union"])[1] == Member("b", ids["char"], 0, None)
    assert btf.enumerators(ids["enum"]) == [Enumerator("RED", 0), Enumerator("NONE", -1)]
    assert btf.enumerators(ids["plain"]) == [Enumerator("BIG", 0xFFFFFFFF)]
    assert btf.enumerators(ids["enum64"]) == [Enumerator("HUGE", 1 << 63), Enumerator("LOW", 5)]
    assert btf.enumerators(ids["signed64"]) == [Enumerator("MINUS", -2)]
    assert btf.parameters(ids["proto"]) == [Parameter("count", number), Parameter("", 0)]
    assert btf.entry(ids["proto"]).target == number
    assert (btf.linkage(ids["function"]), btf.linkage(ids["var"])) == (1, 1)
    assert btf.variables(ids["section"]) == [SectionVariable(ids["var"], 16, 12)]
    assert (btf.tagged(ids["decl"]), btf.tagged(ids["decl_member"])) == (None, 2)
    assert [btf.entry(ids[name]).flag for name in ("forward", "forward_union")] == [False, True]


def test_void_is_number_zero() -> None:
    btf = Btf.parse(BtfWriter().data())
    assert len(btf) == 1
    assert btf.entry(0) == Entry(Kind.VOID, "void", 0, False, 0)
    assert (btf.kind(0), btf.resolve(0)) == (Kind.VOID, 0)


def test_size_or_target_by_kind() -> None:
    written, ids = every_kind()
    btf = Btf.parse(written.data())
    sized = {"int", "char", "bool", "old", "double", "struct", "union", "enum", "plain", "enum64"}
    for name, number in ids.items():
        entry = btf.entry(number)
        assert (entry.size is not None) == (name in sized | {"signed64", "section"}), name
        assert entry.size is None or entry.target is None
    assert btf.entry(ids["forward"]).target is None
    assert btf.entry(ids["decl"]).target == ids["function"]


def test_chains_are_followed() -> None:
    written, ids = every_kind()
    btf = Btf.parse(written.data())
    assert btf.strip(ids["tag"]) == ids["int"]
    assert btf.strip(ids["alias"]) == ids["alias"]
    assert btf.resolve(ids["alias"]) == ids["int"]


def test_names() -> None:
    written, ids = every_kind()
    btf = Btf.parse(written.data())
    assert btf.by_name(Kind.STRUCT, "point") == ids["struct"]
    assert btf.by_name(Kind.UNION, "point") is None
    for name in ("oint", "poin", "", "x\0f", "point\0x", "no such", "\ud800"):
        assert btf.by_name(Kind.STRUCT, name) is None
    assert btf.enumerator("NONE") == (ids["enum"], -1)
    assert btf.enumerator("MINUS") == (ids["signed64"], -2)
    assert btf.enumerator("point") is None
    assert list(btf.ids(Kind.FWD)) == [ids["forward"], ids["forward_union"]]
    assert list(btf.ids()) == list(range(1, written.next_id))


def test_of_several_types_of_one_name_the_first_is_taken() -> None:
    written = BtfWriter()
    first, second = (written.struct("twice", size, []) for size in (4, 8))
    written.union("twice", 16, [])
    btf = Btf.parse(written.data())
    assert btf.all_by_name(Kind.STRUCT, "twice") == [first, second]
    assert btf.by_name(Kind.STRUCT, "twice") == first


def test_a_module_continues_the_numbers_and_names_of_vmlinux() -> None:
    base, ids = every_kind()
    module = BtfWriter(base)
    pointer = module.pointer(ids["struct"])
    own = module.struct("point", 16, [("x", pointer, 0), ("fresh", ids["int"], 64)])
    only = module.struct("module_only", 8, [("x", pointer, 0)])
    module.enum("more", [("EXTRA", 7)])
    vmlinux = Btf.parse(base.data())
    btf = Btf.parse(module.data(), vmlinux, name="ntb")
    assert (btf.first_id, len(btf)) == (base.next_id, module.next_id)
    assert btf.entry(ids["struct"]) == vmlinux.entry(ids["struct"])
    assert btf.members(own) == [
        Member("x", pointer, 0, None),
        Member("fresh", ids["int"], 64, None),
    ]
    assert btf.all_by_name(Kind.STRUCT, "point") == [ids["struct"], own]
    assert btf.own_by_name(Kind.STRUCT, "point") == [own]
    assert btf.by_name(Kind.STRUCT, "module_only") == only
    assert vmlinux.by_name(Kind.STRUCT, "module_only") is None
    assert btf.enumerator("RED") == (ids["enum"], 0)
    assert btf.enumerator("EXTRA") == (module.next_id - 1, 7)
    assert list(btf.ids(Kind.STRUCT)) == [own, only]
    assert Btf.with_index(module.data(), btf.index_bytes(), vmlinux).members(own)


def test_the_first_name_of_a_module_is_found_too() -> None:
    base = BtfWriter()
    module = BtfWriter(base)
    number = module.struct("first", 4, [])
    btf = Btf.parse(module.data(), Btf.parse(base.data()), name="m")
    assert btf.by_name(Kind.STRUCT, "first") == number


def test_a_longer_header_is_skipped() -> None:
    written, ids = every_kind()
    data = written.data()
    longer = data[:4] + struct.pack("<I", HEADER + 8) + data[8:HEADER] + bytes(8) + data[HEADER:]
    assert Btf.parse(longer).by_name(Kind.STRUCT, "point") == ids["struct"]


# -- the index ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_an_index_is_kept_and_used(order: str) -> None:
    written, ids = every_kind(order)
    made = Btf.parse(written.data())
    used = Btf.with_index(written.data(), made.index_bytes())
    assert [used.entry(n) for n in used.ids()] == [made.entry(n) for n in made.ids()]
    assert used.by_name(Kind.ENUM, "colour") == ids["enum"]
    assert used.index_bytes() == made.index_bytes()


def test_an_index_of_another_kernel_is_refused() -> None:
    one, other = BtfWriter(), BtfWriter()
    one.struct("a", 4, [])
    other.struct("longer", 4, [])
    index = Btf.parse(one.data()).index_bytes()
    with pytest.raises(KernelError, match="another kernel"):
        Btf.with_index(other.data(), index)


@given(st.data())
def test_an_index_of_another_form_is_refused(data: st.DataObject) -> None:
    written, _ = every_kind()
    index = Btf.parse(written.data()).index_bytes()
    at = data.draw(st.integers(0, len(index) - 1))
    head = bytes([index[0] ^ data.draw(st.integers(1, 255))]) + index[1:]
    for bad in (head, index[:at], index + bytes(data.draw(st.integers(1, 20)))):
        with pytest.raises(KernelError, match="damaged"):
            Btf.with_index(written.data(), bad)


def test_a_partial_index_is_not_kept() -> None:
    written = BtfWriter()
    written.add(31, "future", 0)
    with pytest.raises(KernelError, match="not kept"):
        Btf.parse(written.data()).index_bytes()


# -- what is not as it should be -------------------------------------------------------------


def test_types_before_an_unknown_kind_are_there() -> None:
    written = BtfWriter()
    number = written.integer("int", 4)
    written.add(25, "future", 0)
    written.integer("long", 8)
    btf = Btf.parse(written.data())
    assert btf.partial == "type 2 is of unknown kind 25"
    assert btf.by_name(Kind.INT, "int") == number
    assert btf.by_name(Kind.INT, "long") is None
    with pytest.raises(KernelError, match="type 3 is not there: type 2 is of unknown kind 25"):
        btf.entry(3)
    with pytest.raises(KernelError, match="BTF of ntb: its base is partial"):
        Btf.parse(BtfWriter(written).data(), btf, name="ntb")


def damaged(btf: BtfWriter, number: int, length: int, order: Order = "little") -> Btf:
    """What `btf` is with another length in type `number`."""
    data = bytearray(btf.data())
    at = HEADER + 4 * (Btf.parse(btf.data())._row(number)[1] + 1)
    word = int.from_bytes(data[at : at + 4], order)
    data[at : at + 4] = (word & ~0xFFFFFF | length).to_bytes(4, order)
    return Btf.parse(bytes(data))


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_is_missing_where_all_makes_sense(order: Order) -> None:
    written, _ = every_kind(order)
    assert Btf.parse(written.data()).missing is None
    base = Btf.parse(written.data())
    module = BtfWriter(written, order=order)
    module.struct("own", 8, [("x", 1, 0)])
    assert Btf.parse(module.data(), base, name="ntb").missing is None


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [0, 1, 2, 4, 5, 6, 7, 8, 9])
def test_a_wrong_length_is_told_to_whoever_misses_a_type(order: Order, length: int) -> None:
    written, ids = every_kind(order)
    written.struct("last", 4, [("y", ids["int"], 0)])
    btf = damaged(written, ids["struct"], length, order)
    assert btf.partial or "makes no sense" in str(btf.missing)


def test_a_swallowed_type_is_told_to_whoever_misses_it_of_a_module_too() -> None:
    written = BtfWriter()
    first = written.struct("first", 4, [("x", written.integer("int", 4), 0)])
    written.pointer(first)
    written.struct("last", 4, [])
    btf = damaged(written, first, 2)
    assert (btf.partial, btf.by_name(Kind.STRUCT, "last")) == (None, 3)
    with pytest.raises(KernelError, match=r"no struct task_struct .* type 2 makes no sense"):
        Layouts(btf)["task_struct"]
    module = Btf.parse(BtfWriter(written).data(), btf, name="ntb")
    assert module.missing == btf.missing


INT_STRUCT_AND_NEW = {1: (4, 0), 4: (0, 12), 20: (8, 0), 21: (4, 12)}


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_layout_section_steps_over_unknown_kinds(order: Order) -> None:
    written = BtfWriter(order=order)
    whole = written.integer("int", 4)
    new = written.add(20, "", 8, [7, 7])
    listed = written.add(21, "", 8, [1, 2, 3, 4, 5, 6, 7], length=2)
    found = written.struct("s", 4, [("a", whole, 0)])
    leads = written.struct("t", 8, [("b", new, 0), ("c", listed, 32)])
    btf = Btf.parse(written.data(INT_STRUCT_AND_NEW))
    assert btf.partial is None
    assert btf.by_name(Kind.STRUCT, "s") == found
    assert (btf.kind(new), btf.kind(listed)) == (Kind.UNKNOWN, Kind.UNKNOWN)
    assert [member.type for member in btf.members(leads)] == [new, listed]
    with pytest.raises(KernelError, match="type 2 is of unknown kind 20, not a STRUCT"):
        btf.members(new)
    kept = Btf.with_index(btf.data, btf.index_bytes())
    assert kept.by_name(Kind.STRUCT, "t") == leads


def test_types_of_a_module_follow_a_base_with_unknown_kinds() -> None:
    written = BtfWriter()
    written.integer("int", 4)
    written.add(20, "", 8, [7, 7])
    base = Btf.parse(written.data(INT_STRUCT_AND_NEW))
    module = BtfWriter(written)
    number = module.struct("perf_ctx", 4, [("a", 1, 0)])
    assert Btf.parse(module.data(), base, name="ntb").by_name(Kind.STRUCT, "perf_ctx") == number


def test_a_layout_that_leads_nowhere_helps_nobody() -> None:
    written = BtfWriter()
    written.integer("int", 4)
    written.add(20, "", 8, [7, 7])
    for layouts in ({20: (7, 0)}, {1: (4, 0)}):
        assert Btf.parse(written.data(layouts)).partial == "type 2 is of unknown kind 20"
    data = bytearray(written.data({20: (8, 0)}))
    data[24:28] = b"\xff\xff\xff\x00"
    assert Btf.parse(bytes(data)).partial == "type 2 is of unknown kind 20"


def test_lengths_have_24_bits_and_kinds_7() -> None:
    written = BtfWriter()
    whole = written.integer("int", 4)
    many = written.struct("many", 4, [(f"m{n}", whole, 0) for n in range(70_000)])
    last = written.struct("last", 4, [("a", whole, 0)])
    btf = Btf.parse(written.data())
    assert btf.entry(many).length == len(btf.members(many)) == 70_000
    assert btf.by_name(Kind.STRUCT, "last") == last
    written.add(100, "", 0)
    assert Btf.parse(written.data()).partial == "type 4 is of unknown kind 100"


@pytest.mark.parametrize("missing", [4, 8, 12, 16, 40])
def test_types_before_one_that_is_cut_are_there(missing: int) -> None:
    written = BtfWriter()
    written.integer("int", 4)
    written.struct("s", 4, [("a", 1, 0), ("b", 1, 0), ("c", 1, 0)])
    written.types = written.types[:-missing]
    btf = Btf.parse(written.data())
    assert btf.partial is not None
    assert btf.partial.startswith("type 2 ")
    assert len(btf) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x9f\xeb",
        bytes(64),
        b"\x9f\xeb\x02\0" + struct.pack("<5I", 24, 0, 0, 0, 1) + b"\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 20, 0, 0, 0, 1) + b"\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 0xFFFFFFF0, 0, 0, 0, 1) + b"\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0, 4, 0, 1) + b"\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0xFFFFFFFF, 4, 0, 1) + b"\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0, 2, 2, 1) + b"\0\0\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0, 0, 0, 2) + b"\0a",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0, 0, 0, 2) + b"a\0",
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0, 0, 0, 0),
        b"\x9f\xeb\x01\0" + struct.pack("<5I", 24, 0, 0, 0, 0x7FFFFFFF) + b"\0",
    ],
)
def test_what_is_not_btf_is_refused(data: bytes) -> None:
    with pytest.raises(KernelError, match="BTF of vmlinux"):
        Btf.parse(data)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_circles_end(length: int) -> None:
    written = BtfWriter()
    for number in range(1, length + 1):
        written.typedef(f"t{number}", number % length + 1)
    with pytest.raises(KernelError, match="circle"):
        Btf.parse(written.data()).resolve(1)


def test_a_name_outside_the_strings_is_refused() -> None:
    written = BtfWriter()
    written.integer("int", 4)
    written.types = struct.pack("<I", 0x1000) + written.types[4:]
    with pytest.raises(KernelError, match="0x1000 leads to no name"):
        Btf.parse(written.data()).entry(1)


def test_a_name_without_end_is_refused() -> None:
    written = BtfWriter()
    written.integer("x" * 5000, 4)
    with pytest.raises(KernelError, match="leads to no name"):
        Btf.parse(written.data()).entry(1)


def test_the_kind_that_was_asked_for_must_be_there() -> None:
    written, ids = every_kind()
    btf = Btf.parse(written.data())
    with pytest.raises(KernelError, match="is a INT, not a STRUCT or UNION"):
        btf.members(ids["int"])
    for number in (-1, len(btf), 1 << 40):
        with pytest.raises(KernelError, match="is not there"):
            btf.entry(number)


# -- any bytes -------------------------------------------------------------------------------

DETAILS = ("members", "enumerators", "parameters", "variables", "integer", "array", "linkage")


def exercise(btf: Btf) -> None:
    """Ask everything of every type; what cannot be answered must be a KernelError."""
    for number in range(-1, len(btf) + 1):
        for ask in ("entry", "kind", "strip", "resolve", "tagged", *DETAILS):
            try:
                getattr(btf, ask)(number)
            except KernelError as error:
                assert str(error)
    for kind in Kind:
        try:
            btf.by_name(kind, "point")
        except KernelError as error:
            assert str(error)
    for name in ("RED", "HUGE", "x"):
        try:
            btf.enumerator(name)
        except KernelError as error:
            assert str(error)


@given(st.binary(max_size=200))
def test_random_bytes_after_the_magic(tail: bytes) -> None:
    try:
        btf = Btf.parse(b"\x9f\xeb\x01\0" + tail)
    except KernelError:
        return
    exercise(btf)


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=60), st.binary(max_size=40))
def test_random_words_as_types(words: list[int], names: bytes) -> None:
    written = BtfWriter()
    written.types = struct.pack(f"<{len(words)}I", *words)
    written.strings = b"\0" + names + b"\0"
    exercise(Btf.parse(written.data()))


@given(st.data())
def test_flipped_bits(data: st.DataObject) -> None:
    written, _ = every_kind()
    spoiled = bytearray(written.data())
    for _ in range(data.draw(st.integers(1, 4))):
        bit = data.draw(st.integers(0, 8 * len(spoiled) - 1))
        spoiled[bit // 8] ^= 1 << bit % 8
    try:
        btf = Btf.parse(bytes(spoiled))
    except KernelError:
        return
    exercise(btf)


# -- round trips -----------------------------------------------------------------------------

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=12)
WORD = st.integers(0, 0xFFFFFFFF)


@st.composite
def rows(draw: st.DrawFn) -> tuple[Kind, str, int, bool, list[tuple[str, int, int]]]:
    """A type with items: kind, name, size, flag, items."""
    kind = draw(st.sampled_from(sorted(set(ITEM_WORDS) - {Kind.DATASEC})))
    items = draw(st.lists(st.tuples(NAMES, WORD, WORD), max_size=5))
    return kind, draw(NAMES), draw(WORD), draw(st.booleans()), items


@given(st.lists(rows(), max_size=8), st.sampled_from(ORDERS))
def test_items_come_back(types: list[Any], order: Any) -> None:
    written = BtfWriter(order=order)
    for kind, name, size, flag, items in types:
        words = [
            w
            for label, *rest in items
            for w in (written.name(label), *rest[: ITEM_WORDS[kind] - 1])
        ]
        written.add(kind, name, size, words, length=len(items), flag=flag)
    btf = Btf.parse(written.data())
    assert len(btf) == len(types) + 1
    for number, (kind, name, size, flag, items) in enumerate(types, 1):
        assert btf.entry(number) == Entry(kind, name, len(items), flag, size)
        assert number in btf.all_by_name(kind, name) or not name
        ask = {Kind.FUNC_PROTO: btf.parameters, Kind.STRUCT: btf.members, Kind.UNION: btf.members}
        found = ask.get(kind, btf.enumerators)(number)
        assert [item.name for item in found] == [label for label, *_ in items]
        for item, (_, *words) in zip(found, items, strict=True):
            assert encoded(item, flag, kind) == words[: ITEM_WORDS[kind] - 1]


def encoded(item: Any, flag: bool, kind: Kind) -> list[int]:
    """The words after its name that an item was made from."""
    if isinstance(item, Member):
        return [item.type, item.bit_offset | ((item.bit_size or 0) << 24 if flag else 0)]
    if isinstance(item, Parameter):
        return [item.type]
    halves = [item.value & 0xFFFFFFFF, item.value >> 32 & 0xFFFFFFFF]
    return halves[:1] if kind is Kind.ENUM else halves
