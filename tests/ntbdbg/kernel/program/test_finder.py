# SPDX-License-Identifier: MIT
"""drgn's types out of BTF."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import drgn
import pytest
from drgn import Architecture, Object, Platform, Program, Qualifiers, TypeKind
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.program.finder import BtfTypes, register_btf
from ntbdbg.kernel.program.maker import TypeMaker
from tests.support.btfwriter import BtfWriter

COMPOUNDS = (TypeKind.STRUCT, TypeKind.UNION)
MEMORY = bytes(range(256))


def program() -> Program:
    prog = Program(Platform(Architecture.X86_64))
    prog.add_memory_segment(
        0, len(MEMORY), lambda address, count, offset, physical: MEMORY[offset : offset + count]
    )
    return prog


class Made:
    """A program with the types of `written`, and of modules that continue it."""

    def __init__(self, written: BtfWriter, **modules: BtfWriter) -> None:
        self.asked = 0
        self.btf = Btf.parse(written.data())
        self._modules = modules
        self.prog = program()
        self.types: BtfTypes = register_btf(self.prog, self.btf, self.modules)

    def modules(self) -> Iterator[Btf]:
        self.asked += 1
        for name, written in self._modules.items():
            yield Btf.parse(written.data(), self.btf, name=name)


@pytest.fixture
def written() -> BtfWriter:
    """``int`` is 1, ``char`` 2."""
    made = BtfWriter()
    made.integer("int", 4, signed=True)
    made.integer("char", 1, signed=True)
    return made


def test_numbers(written: BtfWriter) -> None:
    written.integer("_Bool", 1, boolean=True)
    written.integer("long unsigned int", 8)
    written.floating("double", 8)
    prog = Made(written).prog
    assert prog.type("unsigned long").size == 8
    assert prog.type("_Bool").kind is TypeKind.BOOL
    assert prog.type("double").kind is TypeKind.FLOAT
    assert Object(prog, "int", address=4).value_() == 0x07060504


def test_a_structure_with_everything(written: BtfWriter) -> None:
    inner = written.union("", 4, [("a", 1, 0), ("b", 2, 0)])
    self_pointer = written.pointer(written.next_id + 2)
    text = written.array(2, 4)
    number = written.struct(
        "node",
        24,
        [("next", self_pointer, 0), ("", inner, 64), ("x", 1, 96, 3), ("name", text, 128)],
    )
    made = Made(written)
    kind = made.prog.type("struct node")
    assert (kind.tag, kind.size) == ("node", 24)
    offsets = [(member.name, member.bit_offset, member.bit_field_size) for member in kind.members]
    assert offsets == [("next", 0, None), (None, 64, None), ("x", 96, 3), ("name", 128, None)]
    pointee = kind.members[0].type.type
    assert (pointee.tag, len(pointee.members)) == ("node", 4)
    node = Object(made.prog, kind, address=0)
    assert node.b.value_() == 8
    assert node.x.value_() == -4  # the low three bits of 12, the highest a sign
    assert node.name.string_() == bytes([16, 17, 18, 19])
    assert made.types.find(Kind.STRUCT, "node") is made.types.find(Kind.STRUCT, "node")
    assert made.btf.by_name(Kind.STRUCT, "node") == number


def test_old_bit_fields(written: BtfWriter) -> None:
    bits = written.integer("int", 4, bits=3, bit_offset=5)
    written.struct("old", 4, [("f", bits, 8)])
    prog = Made(written).prog
    member = prog.type("struct old").members[0]
    assert (member.bit_offset, member.bit_field_size) == (13, 3)
    assert Object(prog, "struct old", address=0).f.value_() == 0x03020100 >> 13 & 7
    assert prog.type("int").size == 4


def test_arrays_of_no_elements_are_flexible_at_the_end_only(written: BtfWriter) -> None:
    none = written.array(1, 0)
    written.struct("flexible", 4, [("marker", none, 0), ("count", 1, 0), ("items", none, 32)])
    members = Made(written).prog.type("struct flexible").members
    assert [member.type.length for member in members if member.name != "count"] == [0, None]
    assert members[0].type.is_complete()
    assert not members[2].type.is_complete()


def test_enumerations(written: BtfWriter) -> None:
    written.enum("state", [("DEAD", -1), ("IDLE", 0)], signed=True)
    written.enum("small", [("TINY", 200)], size=1)
    written.enum64("wide", [("HUGE", 1 << 63)])
    written.enum("", [("LIMIT", 16)])
    prog = Made(written).prog
    assert [tuple(item) for item in prog.type("enum state").enumerators] == [
        ("DEAD", -1),
        ("IDLE", 0),
    ]
    assert (prog.type("enum small").type.size, prog.type("enum wide").type.size) == (1, 8)
    for name, value in {"DEAD": -1, "TINY": 200, "HUGE": 1 << 63, "LIMIT": 16}.items():
        assert prog.constant(name).value_() == value
        assert prog[name].value_() == value
    with pytest.raises(LookupError):
        prog.constant("state")


def test_names_and_qualifiers(written: BtfWriter) -> None:
    qualified = written.const(written.volatile(1))
    tagged = written.type_tag("__user", qualified)
    written.typedef("reg_t", tagged)
    written.struct("s", 8, [("p", written.restrict(written.pointer(written.const(0))), 0)])
    prog = Made(written).prog
    assert prog.type("reg_t").type.qualifiers == Qualifiers.CONST | Qualifiers.VOLATILE
    pointer = prog.type("struct s").members[0].type
    assert pointer.qualifiers == Qualifiers.RESTRICT
    assert (pointer.type.kind, pointer.type.qualifiers) == (TypeKind.VOID, Qualifiers.CONST)


def test_functions(written: BtfWriter) -> None:
    variadic = written.prototype(1, [("format", written.pointer(2)), ("", 0)])
    written.function("printk", variadic)
    percpu = written.variable("runqueues", written.struct("rq", 4, [("nr", 1, 0)]))
    written.section(".data..percpu", 4, [(percpu, 0, 4)])
    made = Made(written)
    kind = made.types.type_of("printk")
    assert kind is not None
    assert (kind.kind, kind.is_variadic) == (TypeKind.FUNCTION, True)
    assert [(p.name, p.type.type_name()) for p in kind.parameters] == [("format", "char *")]
    variable = made.types.type_of("runqueues")
    assert variable is not None
    assert variable.type_name() == "struct rq"
    assert made.types.type_of("nothing") is None


def test_a_declared_structure_is_the_complete_one(written: BtfWriter) -> None:
    forward, union = written.forward("later"), written.forward("both", union=True)
    unknown = written.forward("opaque")
    pointers = [written.pointer(number) for number in (forward, union, unknown)]
    written.struct("owner", 24, [(f"p{n}", to, 64 * n) for n, to in enumerate(pointers)])
    written.struct("later", 4, [("x", 1, 0)])
    written.union("both", 4, [("y", 1, 0)])
    made = Made(written)
    inner = [member.type.type for member in made.prog.type("struct owner").members]
    assert [kind.is_complete() for kind in inner] == [True, True, False]
    assert inner[2].tag == "opaque"
    with pytest.raises(LookupError):
        made.prog.type("struct opaque")


# -- modules ---------------------------------------------------------------------------------


def test_modules_are_asked_when_vmlinux_does_not_know(written: BtfWriter) -> None:
    declared = written.pointer(written.forward("hidden"))
    written.struct("owner", 8, [("secret", declared, 0)])
    written.struct("dev", 4, [("x", 1, 0)])
    one, two = BtfWriter(written), BtfWriter(written)
    one.struct("hidden", 8, [("a", 1, 0), ("b", 1, 32)])
    one.struct("dev", 12, [("x", 1, 0)])
    one.enum("", [("ONE_LIMIT", 3)])
    two.struct("ctx", 8, [("dev", two.pointer(two.forward("dev")), 0)])
    two.struct("dev", 16, [])
    made = Made(written, ntb=one, ntb_perf=two)
    prog = made.prog
    assert prog.type("struct dev").size == 4
    assert [one.size for one in made.types.namesakes(Kind.STRUCT, "dev")] == [4]
    assert made.asked == 0
    assert prog.type("struct hidden").size == 8
    assert prog.type("struct owner").members[0].type.type.members[1].name == "b"
    assert prog.constant("ONE_LIMIT").value_() == 3
    assert made.asked == 1
    assert [prog.type("struct dev", name).size for name in ("ntb", "ntb_perf", "vmlinux")] == [
        12, 16, 4,
    ]  # fmt: skip
    assert prog.type("struct ctx").members[0].type.type.size == 16
    assert prog.type("int", "ntb").size == 4
    with pytest.raises(LookupError):
        prog.type("struct hidden", "vmlinux")
    with pytest.raises(LookupError):
        prog.type("struct dev", "no_such_module")
    found = made.types.namesakes(Kind.STRUCT, "dev")
    assert [(one.module, one.size) for one in found] == [
        ("vmlinux", 4), ("ntb", 12), ("ntb_perf", 16),
    ]  # fmt: skip
    assert [made.types.numbered(one.number, one.module).size for one in found] == [4, 12, 16]
    with pytest.raises(KernelError, match="no_such_module carries no types"):
        made.types.numbered(1, "no_such_module")


def test_whoever_lists_the_modules_may_ask_for_types(written: BtfWriter) -> None:
    prog = program()

    def modules() -> list[Btf]:
        with pytest.raises(LookupError):
            prog.type("struct missing")
        return []

    register_btf(prog, Btf.parse(written.data()), modules)
    with pytest.raises(LookupError):
        prog.type("struct other")


# -- hostile types ---------------------------------------------------------------------------


def makes(written: BtfWriter, number: int) -> drgn.Type:
    made = Made(written)
    return TypeMaker(made.prog, made.btf, lambda name, is_union: None).type(number)


def test_a_structure_that_contains_itself_is_refused(written: BtfWriter) -> None:
    first = written.next_id
    direct = written.struct("direct", 4, [("me", first, 0)])
    anonymous = written.struct("anonymous", 4, [("", written.next_id, 0)])
    array = written.array(written.next_id + 1, 2)
    by_array = written.struct("by_array", 4, [("us", array, 0)])
    other = written.next_id + 1
    pair = written.union("pair", 4, [("other", other, 0)])
    written.struct("other", 4, [("pair", pair, 0)])
    for number in (direct, anonymous, by_array, pair, other):
        with pytest.raises(KernelError, match="contains itself"):
            makes(written, number)


def test_anonymous_structures_that_double_each_level_are_refused(written: BtfWriter) -> None:
    number = written.struct("", 4, [("a", 1, 0), ("b", 1, 0)])
    for _ in range(40):
        number = written.struct("", 4, [("", number, 0), ("", number, 0)])
    with pytest.raises(KernelError, match="more than 16384 members"):
        makes(written, number)


def test_circles_and_long_chains_are_refused(written: BtfWriter) -> None:
    circles = [
        written.typedef("t", written.next_id),
        written.pointer(written.next_id),
        written.const(written.next_id),
        written.array(written.next_id, 3),
        written.prototype(written.next_id),
    ]
    owner = written.struct("owner", 4, [("m", circles[3], 0)])
    last = 1
    for _ in range(1000):
        last = written.pointer(last)
    for number in (*circles, owner, last):
        with pytest.raises(KernelError):
            makes(written, number)


def test_numbers_that_no_processor_has_are_refused(written: BtfWriter) -> None:
    bad = [
        written.integer("odd", 3),
        written.integer("none", 0),
        written.floating("half", 1 << 30),
        written.enum("e", [("A", 1)], size=16),
        written.section(".data", 4, []),
        written.decl_tag("tag", 1),
        written.struct("wide", 4, [("f", 2, 0, 9)]),
        written.struct("strange", 4, [("f", written.pointer(1), 0, 9)]),
    ]
    for number in bad:
        with pytest.raises(KernelError):
            assert [member.type for member in makes(written, number).members]


@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=9), max_size=30), st.data())
def test_types_of_random_words(rows: list[list[int]], data: st.DataObject) -> None:
    """Whatever the words, drgn gets sound types or there is a KernelError, never a crash."""
    written = BtfWriter()
    for row in rows:
        kind = data.draw(st.sampled_from(Kind))
        words = [row[0] % 8, kind << 24 | data.draw(st.integers(0, 2)) | row[1] % 2 << 31, *row[2:]]
        written.types += struct.pack(f"<{len(words)}I", *words)
    written.strings = b"\0a\0bc\0\0"
    made = Made(written)
    maker = TypeMaker(made.prog, made.btf, lambda name, is_union: None)
    for number in range(len(made.btf) + 1):
        try:
            kind = maker.type(number)
            assert isinstance(str(kind), str)
            if kind.kind in COMPOUNDS and kind.is_complete():
                assert len([member.type for member in kind.members]) == len(kind.members)
        except KernelError as error:
            assert str(error)
