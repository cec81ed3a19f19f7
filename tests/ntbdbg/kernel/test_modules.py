# SPDX-License-Identifier: MIT
"""Modules, by a fake list of them, before and since Linux 6.4."""

from __future__ import annotations

import pytest

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.taints import taint_letters
from tests.support.fakekernel import FakeGuest
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


def test_letters_are_the_kernels_own() -> None:
    guest = FakeGuest()
    FakeModules(guest)
    guest.memory  # noqa: B018
    guest.space.write(guest.symbols["taint_flags"], b"Z")
    kernel = Kernel.open(guest.memory)
    assert taint_letters(kernel, 1 | 1 << 9 | 1 << 40) == "ZW?"


def test_letters_are_those_of_known_kernels_where_it_has_none() -> None:
    assert taint_letters(Kernel.open(FakeGuest(btf=False).memory), 1 | 1 << 19 | 1 << 50) == "PJ?"
