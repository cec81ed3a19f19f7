# SPDX-License-Identifier: MIT
"""Names of addresses, virtual and physical."""

from __future__ import annotations

import pytest

from ntbdbg.kernel.asked.naming import Naming
from ntbdbg.kernel.kernel import Kernel
from tests.support.fakekernel import FakeGuest


@pytest.fixture(scope="module", params=[4, 5])
def guest(request: pytest.FixtureRequest) -> FakeGuest:
    made = FakeGuest(levels=request.param)
    made.function("idle_loop", 48, kind="T")
    made.function("after", 16)
    made.percpu("cpu_number", "unsigned int", 0, 1)
    made.percpu("later", "unsigned long", 0, 1)
    made.symbol("__per_cpu_end", made.symbols["later"] + 8, "A")
    made.symbol("__init_begin", made.data("initial", 0x1000, align=0x1000), "T")
    made.symbol("__init_end", made.symbols["__init_begin"] + 0x1000, "T")
    made.memory  # noqa: B018  completes it
    return made


@pytest.fixture(scope="module")
def naming(guest: FakeGuest) -> Naming:
    return Naming(Kernel.open(guest.memory))


def test_an_address_in_a_symbol(guest: FakeGuest, naming: Naming) -> None:
    start = guest.symbols["idle_loop"]
    name = naming.name(start + 0x10)
    assert name == ("idle_loop", 0x10, 0x20)
    assert str(name) == "idle_loop+0x10"
    assert str(naming.name(start)) == "idle_loop"


def test_an_address_in_a_cpus_own_area(guest: FakeGuest, naming: Naming) -> None:
    first = guest.percpu_areas[1] + guest.symbols["cpu_number"]
    assert str(naming.name(first)) == "cpu_number@1"
    assert str(naming.name(first + 2)) == "cpu_number@1+0x2"
    assert naming.name(guest.percpu_areas[1] + guest.symbols["__per_cpu_end"]) is None


def test_addresses_without_a_name(guest: FakeGuest, naming: Naming) -> None:
    for address in (0, 0x1000, guest.direct_map + 0x1000, (1 << 64) - 1):
        assert naming.name(address) is None


def test_physical_addresses_have_the_virtual_one_that_names_them(
    guest: FakeGuest, naming: Naming
) -> None:
    start = guest.symbols["idle_loop"]
    assert naming.virtual(guest.physical(start) + 5) == start + 5
    heap = guest.physical(guest.percpu_areas[0])
    assert naming.virtual(heap) == guest.percpu_areas[0] == guest.direct_map + heap
    assert naming.virtual(1 << 40) is None


def test_memory_of_the_boot_goes_by_the_direct_map(guest: FakeGuest, naming: Naming) -> None:
    initial = guest.physical(guest.symbols["initial"])
    assert naming.virtual(initial) == guest.direct_map + initial
