# SPDX-License-Identifier: MIT
"""Modules, by a fake list of them, before and since Linux 6.4."""

from __future__ import annotations

import struct

import pytest

from ntbdbg.budget import Budget, SpentError
from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.modules.taints import taint_letters
from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakemodules import FakeModules
from tests.support.fakespace import PAGE

OE = 1 << 12 | 1 << 13


@pytest.mark.parametrize("mem", [False, True])
def test_modules_are_those_of_proc_modules(mem: bool) -> None:
    guest = FakeGuest()
    modules = FakeModules(guest, mem=mem)
    ntb = modules.add("ntb", size=4 * PAGE, taints=OE)
    driver = modules.add("ntb_hw_idt", size=10 * PAGE, uses=[ntb], taints=OE, state=1)
    modules.add("ntb_tool", size=2 * PAGE, uses=[ntb, driver], references=2, permanent=True)
    kernel = Kernel.open(guest.memory)
    found = kernel.modules()
    assert found.partial is None
    assert [(m.name, m.size, m.references, m.users, m.state) for m in found] == [
        ("ntb_tool", 2 * PAGE, 2, (), "live"),
        ("ntb_hw_idt", 10 * PAGE, 1, ("ntb_tool",), "coming"),
        ("ntb", 4 * PAGE, 2, ("ntb_hw_idt", "ntb_tool"), "live"),
    ]
    assert [m.is_permanent for m in found] == [True, False, False]
    assert all(m.base % PAGE == 0 and m.base in m for m in found)
    assert [taint_letters(kernel, m.taints) for m in found] == ["", "OE", "OE"]


def test_a_list_in_a_circle_is_partial() -> None:
    guest = FakeGuest()
    modules = FakeModules(guest)
    first, second = modules.add("a"), modules.add("b")
    first["list.next"] = second.at("list")
    found = Kernel.open(guest.memory).modules()
    assert [m.name for m in found] == ["b", "a"]
    assert "circle" in (found.partial or "")


def test_users_without_end_end() -> None:
    guest = FakeGuest()
    modules = FakeModules(guest)
    used = modules.add("used")
    modules.add("user", uses=[used])
    first = used["source_list.next"]
    guest.space.write(first, first.to_bytes(8, "little"))
    found = Kernel.open(guest.memory).modules()
    assert found[1].users == ("user",)


def with_one_symbol_table(count: int, modules: int) -> FakeGuest:
    """Modules that all claim the same `count` symbols, called ``f``."""
    guest = FakeGuest()
    made = FakeModules(guest)
    rows = struct.pack("<IBBHQQ", 1, 0, 0, 1, 0xFFFF_FFFF_C000_0000, 0) * count
    table = guest.new("struct mod_kallsyms", num_symtab=count)
    table.set(symtab=guest.data("rows", rows), strtab=guest.data("text", b"\0f\0".ljust(2048)))
    table.set(typetab=guest.data("kinds", b"t" * count))
    for number in range(modules):
        made.add(f"module{number}")["kallsyms"] = table
    return guest


def test_symbols_times_modules_is_one_sum() -> None:
    guest = with_one_symbol_table(count=100, modules=20)
    every = list(Symbolizer(Kernel.open(guest.memory)).tables())
    assert [len(table) for table in every[1:]] == [100] * 20
    budget = Budget(items=len(every[0]) + 1000)
    some = list(Symbolizer(Kernel.open(guest.memory, budget=budget)).tables())
    assert 0 < sum(len(table) for table in some[1:]) <= 1000
    assert budget.spent is not None


def test_types_draw_bytes() -> None:
    guest = FakeGuest()
    size = len(Kernel.open(guest.memory).btf.data)
    kernel = Kernel.open(guest.memory, cache=False, budget=Budget(bytes=size - 1))
    with pytest.raises(SpentError, match="MiB of its data"):
        kernel.btf  # noqa: B018


ATTRIBUTE = """
struct attribute { const char *name; unsigned short mode; };
struct bin_attribute { struct attribute attr; unsigned long size; void *private; };
"""
COUNTED = (
    "struct module_notes_attrs { void *dir; unsigned int notes; struct bin_attribute attrs[2]; };"
)
GROUPED = """
struct attribute_group { const char *name; union { void **bin_attrs; void **bin_attrs_new; }; };
struct module_notes_attrs { struct attribute_group grp; struct bin_attribute attrs[2]; };
"""
"""Since Linux 6.14."""


def with_notes(form: str) -> tuple[FakeGuest, FakeStruct]:
    guest = FakeGuest()
    guest.types.declare(ATTRIBUTE + form)
    module = FakeModules(guest).add("ntb")
    notes = guest.new("struct module_notes_attrs")
    module["notes_attrs"] = notes
    raw = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0" + bytes(range(20))
    for index, content in enumerate([b"another note", raw]):
        where = guest.alloc(len(content))
        guest.space.write(where, content)
        notes.sub(f"attrs[{index}]").set(size=len(content), private=where)
    if form is COUNTED:
        notes["notes"] = 2
        return guest, notes
    pointers = guest.alloc(24)
    for index in range(2):
        where = notes.at(f"attrs[{index}]").to_bytes(8, "little")
        guest.space.write(pointers + 8 * index, where)
    notes["grp.bin_attrs"] = pointers
    return guest, notes


@pytest.mark.parametrize("form", [COUNTED, GROUPED], ids=["before 6.14", "since 6.14"])
def test_build_id_is_that_of_its_note(form: str) -> None:
    kernel = Kernel.open(with_notes(form)[0].memory)
    assert kernel.module_build_id(kernel.modules()[0]) == bytes(range(20)).hex()


def test_notes_without_end_end() -> None:
    guest, notes = with_notes(GROUPED)
    pointers = guest.alloc(4096)
    guest.space.write(pointers, notes.at("attrs[0]").to_bytes(8, "little") * 512)
    notes["grp.bin_attrs"] = pointers
    kernel = Kernel.open(guest.memory)
    assert kernel.module_build_id(kernel.modules()[0]) is None


def test_letters_are_the_kernels_own() -> None:
    guest = FakeGuest()
    FakeModules(guest)
    guest.memory  # noqa: B018
    guest.space.write(guest.symbols["taint_flags"], b"Z")
    kernel = Kernel.open(guest.memory)
    assert taint_letters(kernel, 1 | 1 << 9 | 1 << 40) == "ZW?"


def test_letters_are_those_of_known_kernels_where_it_has_none() -> None:
    assert taint_letters(Kernel.open(FakeGuest(btf=False).memory), 1 | 1 << 19 | 1 << 50) == "PJ?"


def test_a_loaded_module_without_types_is_told_as_that() -> None:
    kernel = Kernel.open(with_one_symbol_table(count=1, modules=1).memory)
    assert kernel.program.types is not None
    assert kernel.program.types.modules == ()
    make = "'pahole -J --btf_base VMLINUX MODULE.ko' adds them before the module is loaded"
    with pytest.raises(KernelError, match="module module0 is loaded, but carries no types") as told:
        kernel.choose_type("module0:struct my_state")
    assert told.value.hint == make
    with pytest.raises(KernelError, match="has no type 'struct my_state'") as told:
        kernel.choose_type("struct my_state")
    assert f"; none carry module0: {make}" in (told.value.hint or "")
