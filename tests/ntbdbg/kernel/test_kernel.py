# SPDX-License-Identifier: MIT
"""A kernel found in RAM and asked: addresses, symbols, CPUs."""

from __future__ import annotations

import pytest

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.memory import BufferMemory
from tests.support.fakekernel import FakeGuest


@pytest.fixture(
    params=[
        {"levels": 4},
        {"levels": 5},
        {"levels": 4, "kaslr": 0},
        {"levels": 5, "absolute_percpu": False, "release": "6.18.1"},
    ],
    ids=str,
    scope="module",
)
def guest(request) -> FakeGuest:
    guest = FakeGuest(**request.param)
    guest.function("foo.isra.0", 64)
    guest.function("foo", 32, kind="T")
    guest.percpu("runqueues", "int", 41, 42)
    return guest


@pytest.fixture(scope="module")
def kernel(guest) -> Kernel:
    return Kernel.open(guest.memory)


def test_every_symbol_is_where_the_guest_has_it(guest, kernel):
    found = {symbol.name: symbol.address for symbol in kernel.table}
    assert found == guest.symbols


def test_a_symbol_and_what_lies_there(guest, kernel):
    symbol = kernel.symbol("init_uts_ns")
    assert symbol.address == guest.symbols["init_uts_ns"]
    assert kernel.virtual.read(symbol.address, 6) == b"Linux\0"
    assert kernel.translate(symbol.address) == guest.physical(symbol.address)


def test_labels(guest, kernel):
    start = guest.symbols["foo"]
    assert kernel.symbolize(start) == "foo"
    assert kernel.symbolize(start + 0x1F) == "foo+0x1f"
    assert kernel.symbolize(guest.symbols["foo.isra.0"] + 1) == "foo.isra.0+0x1"
    assert kernel.symbolize(guest.symbols["_end"] + 1) is None
    assert kernel.symbolize(guest.direct_map) is None
    assert kernel.symbolize(0x10) is None


def test_sizes_reach_to_the_next_symbol(kernel):
    assert kernel.symbol("foo").size == 32
    assert kernel.symbol("_end").size == 0


def test_per_cpu_variables(guest, kernel):
    address = guest.symbols["runqueues"]
    assert kernel.cpus() == [0, 1]
    values = [kernel.virtual.read(kernel.percpu(address, cpu), 4) for cpu in kernel.cpus()]
    assert [int.from_bytes(value, "little") for value in values] == [41, 42]
    with pytest.raises(KernelError, match="there is no CPU 2; its CPUs: 0, 1"):
        kernel.percpu(address, 2)


def test_an_unknown_symbol_names_similar_ones(kernel):
    with pytest.raises(KernelError, match=r"no symbol 'init_uts' .*similar: init_uts_ns"):
        kernel.symbol("init_uts")


def test_an_address_that_is_not_mapped(kernel):
    with pytest.raises(FaultError, match="0xffffffffff000000 is not mapped: its pud entry 0x0"):
        kernel.translate(0xFFFFFFFFFF000000)


def test_no_kernel_at_all():
    with pytest.raises(KernelError, match="no Linux kernel that keeps VMCOREINFO"):
        Kernel.open(BufferMemory(bytes(1 << 20)))


def test_a_kernel_whose_page_tables_are_gone():
    guest = FakeGuest()
    memory = guest.memory
    names = guest.physical(guest.symbols["init_uts_ns"])
    guest.space.poke(guest.space.root, bytes(4096))
    assert "its page tables are gone" in (Kernel.open(memory).lost or "")
    guest.space.poke(names, bytes(390))
    with pytest.raises(KernelError, match=r"left its VMCOREINFO at 0x\w+, but its page tables"):
        Kernel.open(memory)


def test_a_kernel_that_does_not_say_where_its_symbols_are():
    guest = FakeGuest(release="5.10.0")
    guest.omit = {"kallsyms_names", "kallsyms_num_syms"}
    kernel = Kernel.open(guest.memory)
    with pytest.raises(KernelError, match=r"no kallsyms_num_syms, kallsyms_names.*since 6\.0"):
        kernel.symbol("init_uts_ns")
    namespace = kernel.info.symbol("init_uts_ns")
    assert namespace is not None
    assert kernel.virtual.read(namespace, 5) == b"Linux"


def test_a_kernel_without_types():
    with pytest.raises(KernelError, match="carries no types"):
        _ = Kernel.open(FakeGuest(btf=False).memory).btf
