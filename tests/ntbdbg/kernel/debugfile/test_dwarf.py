# SPDX-License-Identifier: MIT
"""Debug information made of BTF, as gdb and drgn read it."""

from __future__ import annotations

import subprocess
from array import array
from pathlib import Path

import drgn
import pytest

from ntbdbg.budget import Budget, SpentError
from ntbdbg.kernel.debugfile.dies import padded_sleb, sleb, uleb
from ntbdbg.kernel.symbols.symbols import SymbolTable
from tests.support.btfwriter import BtfWriter
from tests.support.debugfiles import TEXT, gdb, write_types


@pytest.fixture
def btf() -> BtfWriter:
    made = BtfWriter()
    made.integer("int", 4, signed=True)
    made.integer("char", 1, signed=True, char=True)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vmlinux"


def program(path: Path) -> drgn.Program:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    module = prog.extra_module("file", create=True)
    module.try_file(str(path), force=True)
    assert not module.wants_debug_file()
    return prog


def furnish(btf: BtfWriter) -> None:
    inner = btf.union("", 8, [("number", 1, 0), ("letters", btf.array(2, 8), 0)])
    state = btf.enum("state", [("OFF", 0), ("BAD", -1)], signed=True)
    btf.enum64("wide", [("HIGH", 1 << 63), ("LOW", 1)])
    alias = btf.typedef("state_t", btf.const(btf.type_tag("__user", state)))
    call = btf.pointer(btf.prototype(1, [("", 2), ("", 0)]))
    fields = [("", inner, 0, 0), ("flag", 1, 67, 3), ("state", alias, 96, 0), ("call", call, 128)]
    fields += [("next", btf.next_id + 1, 192, 0), ("rest", btf.next_id + 2, 256, 0)]
    task = btf.struct("task", 32, fields)
    assert btf.pointer(task) == task + 1
    btf.array(1, 0)
    btf.floating("double", 8)
    btf.forward("unknown", union=True)
    btf.integer("_Bool", 1, boolean=True)


SHOWN = """\
type = struct task {
    union {
        int number;
        char letters[8];
    };
    int flag : 3;
    state_t state;
    int (*call)(char, ...);
    struct task *next;
    int rest[];
}
$1 = 32
type = const enum state {OFF, BAD = -1}
$2 = HIGH
$3 = BAD
$4 = (int (**)(char, ...)) 0x10
$5 = 8
"""


def test_gdb_shows_structures_as_they_were_written(btf: BtfWriter, path: Path) -> None:
    furnish(btf)
    write_types(path, btf)
    asked = ["ptype struct task", "p sizeof(struct task)", "ptype state_t", "p HIGH", "p BAD"]
    shown = gdb(*asked, "p &((struct task *)0)->call", "p sizeof(double)", files=(path,))
    assert shown == SHOWN


def test_drgn_sees_the_same(btf: BtfWriter, path: Path) -> None:
    furnish(btf)
    write_types(path, btf)
    prog = program(path)
    task = prog.type("struct task")
    assert task.size == 32
    places = {member.name: (member.bit_offset, member.bit_field_size) for member in task.members}
    assert places == {
        None: (0, None), "flag": (67, 3), "state": (96, None), "call": (128, None),
        "next": (192, None), "rest": (256, None),
    }  # fmt: skip
    assert task.member("letters").type.type_name() == "char [8]"
    assert prog.type("state_t").type.type_name() == "const enum state"
    assert list(map(tuple, prog.type("enum state").enumerators)) == [("OFF", 0), ("BAD", -1)]
    assert dict(map(tuple, prog.type("enum wide").enumerators))["HIGH"] == 1 << 63
    assert prog.type("_Bool").kind == drgn.TypeKind.BOOL


def test_readelf_finds_no_fault(btf: BtfWriter, path: Path) -> None:
    furnish(btf)
    write_types(path, btf, table=symbols(), code=CODE)
    words = ["--debug-dump=info,abbrev,loc,Ranges,str", "-SlsW"]
    done = subprocess.run(["readelf", *words, path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "DW_TAG_structure_type" in done.stdout


# -- code ------------------------------------------------------------------------------------

FTRACE, PUSH, MOVE, RETURN = b"\x0f\x1f\x44\0\0", b"\x55", b"\x48\x89\xe5", b"\xc3"
CODE = (FTRACE + PUSH + MOVE + RETURN).ljust(32, b"\xcc") + RETURN.ljust(32, b"\xcc")


def symbols() -> SymbolTable:
    names = ["Tmy_probe", "tother", "Dinit_task", "dslab_caches", "dnr_threads"]
    addresses = [TEXT, TEXT + 32, TEXT + 0x100, TEXT + 0x200, TEXT + 0x300]
    return SymbolTable(array("Q", addresses), names, end=TEXT + 0x310)


def test_variables_and_functions(btf: BtfWriter, path: Path) -> None:
    task = btf.struct("task_struct", 8, [("pid", 1, 0)])
    pointer = btf.pointer(task)
    proto = btf.prototype(1, [("pdev", pointer), ("by_value", task), ("behind", 1)])
    btf.function("my_probe", proto, 1)
    btf.function("other", btf.prototype(0), 0)
    btf.function("nowhere", proto, 1)
    write_types(path, btf, table=symbols(), code=CODE)
    asked = ["ptype my_probe", "ptype other", "ptype &init_task", "whatis nr_threads"]
    shown = gdb(*asked, "info scope my_probe", "info scope other", files=(path,))
    assert "type = int (struct task_struct *, struct task_struct, int)" in shown
    assert "type = void (void)" in shown
    assert "type = struct task_struct {\n    int pid;\n} *" in shown
    assert "type = int\n" in shown
    assert "pdev is multi-location" in shown
    assert f"Range {TEXT:#x}-{TEXT + 10:#x}: a variable in $rdi" in shown
    assert "Symbol by_value is optimized out" in shown, "where structures are, nobody knows"
    assert "Symbol behind is optimized out" in shown


def test_a_function_of_two_types_has_none(btf: BtfWriter, path: Path) -> None:
    btf.function("my_probe", btf.prototype(0), 0)
    btf.function("my_probe", btf.prototype(1), 0)
    write_types(path, btf, table=symbols())
    assert gdb("ptype my_probe", files=(path,)) == 'No symbol "my_probe" in current context.\n'


def test_types_of_modules_stand_on_those_of_vmlinux(btf: BtfWriter, path: Path) -> None:
    btf.struct("base", 4, [("number", 1, 0)])
    one, two = BtfWriter(btf), BtfWriter(btf)
    one.struct("of_one", 8, [("base", 3, 0)])
    two.struct("of_two", 16, [("base", one.first_id - 1, 0), ("deep", two.next_id + 1, 64)])
    two.pointer(two.first_id)
    write_types(path, btf, one, two)
    shown = gdb("ptype struct of_one", "ptype struct of_two", files=(path,))
    assert "struct of_one {\n    struct base base;\n}" in shown
    assert "struct of_two {\n    struct base base;\n    struct of_two *deep;\n}" in shown


# -- types that make no sense ----------------------------------------------------------------


def test_no_reader_is_led_in_a_circle(btf: BtfWriter, path: Path) -> None:
    circle = btf.typedef("circle", btf.next_id)
    itself = btf.struct("itself", 8, [("again", btf.next_id, 0), ("number", 1, 0)])
    pointers = btf.pointer(btf.next_id + 1)
    btf.pointer(pointers)
    many = btf.array(btf.next_id, 4)
    calls = btf.prototype(btf.next_id + 1, [("", btf.next_id)])
    btf.pointer(calls)
    deep = 1
    for _ in range(20000):
        deep = btf.const(deep)
    last = btf.typedef("deep", deep)
    fields = [(f"m{kind}", kind, 0) for kind in (circle, itself, pointers, many, calls, last)]
    btf.struct("all_of_it", 64, fields)
    made = write_types(path, btf)
    assert made.dropped[0].parts >= 5
    asked = [f"ptype {name}" for name in ("circle", "deep", "struct itself", "struct all_of_it")]
    shown = gdb(*asked, "p sizeof(struct all_of_it)", files=(path,))
    assert "struct itself {\n    int number;\n}" in shown
    assert "$1 = 64" in shown
    prog = program(path)
    assert [member.name for member in prog.type("struct itself").members] == ["number"]


def test_pointers_to_what_holds_them_are_no_circle(btf: BtfWriter, path: Path) -> None:
    """Directly, by another name, in an array, as a parameter, by value from a function."""
    node = btf.next_id + 6
    alias = btf.typedef("node_t", node)
    kinds = [btf.pointer(alias), btf.pointer(btf.array(node, 2))]
    kinds.append(btf.pointer(btf.prototype(node, [("", kinds[0])])))
    assert btf.struct("node", 24, [(f"m{i}", k, 64 * i) for i, k in enumerate(kinds)]) == node
    made = write_types(path, btf)
    assert made.dropped == []
    shown = gdb("ptype struct node", files=(path,))
    assert "node_t *m0;" in shown
    assert "struct node (*m1)[2];" in shown
    assert "struct node (*m2)(node_t *);" in shown


def test_what_leads_nowhere_or_beyond_is_left_out(btf: BtfWriter, path: Path) -> None:
    fields = [("inside", 1, 0), ("half", 1, 16), ("beyond", 1, 1 << 20), ("nowhere", 9999, 0)]
    btf.struct("odd", 4, fields)
    btf.pointer(9999)
    huge = btf.array(1, 0xFFFF_FFFF)
    btf.struct("huge", 0xFFFF_FFFF, [("all", btf.array(huge, 0xFFFF_FFFF), 0)])
    btf.integer("int", 255)
    made = write_types(path, btf)
    assert made.dropped[0].parts == 5, made.dropped
    shown = gdb("ptype struct odd", "ptype struct huge", files=(path,))
    assert "struct odd {\n    int inside;\n}" in shown


def test_what_it_may_take_is_bounded(btf: BtfWriter, path: Path) -> None:
    parameters = [("parameter", 1)] * 60
    btf.function("my_probe", btf.prototype(0, parameters), 0)
    table = SymbolTable(array("Q", [TEXT] * 1000), ["tmy_probe"] * 1000)
    with pytest.raises(SpentError):
        write_types(path, btf, table=table, budget=Budget(items=5000))


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 300, 1 << 40, -1, -64, -65, -(1 << 63)])
def test_numbers_of_any_length(value: int) -> None:
    def number(raw: bytes) -> int:
        found = sum((byte & 0x7F) << 7 * index for index, byte in enumerate(raw))
        assert [byte >> 7 for byte in raw] == [1] * (len(raw) - 1) + [0]
        return found - (1 << 7 * len(raw)) if raw[-1] & 0x40 else found

    assert number(sleb(value)) == value
    if -(1 << 63) <= value < 1 << 63:
        assert number(padded_sleb(value)) == value
        assert len(padded_sleb(value)) == 10
    if value >= 0:
        assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(uleb(value))) == value
