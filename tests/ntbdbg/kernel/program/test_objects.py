# SPDX-License-Identifier: MIT
"""Types and typed variables by name, and drgn's view of the same kernel."""

from __future__ import annotations

import drgn
import pytest
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu

from ntbdbg.errors import FaultError, KernelError, UsageError
from ntbdbg.kernel.kernel import Kernel
from tests.support.fakekernel import FakeGuest


@pytest.fixture(params=[4, 5], scope="module")
def guest(request) -> FakeGuest:
    guest = FakeGuest(levels=request.param)
    guest.types.declare("struct job { int id; char name[8]; struct job *next; };")
    guest.types.declare("struct pid_namespace { int level; struct job *first; };")
    second = guest.new("struct job", id=8, name=b"second")
    first = guest.new("struct job", id=7, name=b"first", next=second.address)
    second["next"] = 0xDEAD_0000_0000_0000
    guest.variable("init_pid_ns", "struct pid_namespace", level=3, first=first.address)
    guest.variable("untold", "struct job", id=9)
    guest.percpu("counter", "int", 5, 6)
    head = guest.variable("modules", "struct list_head")
    head.set(next=head.address, prev=head.address)
    return guest


@pytest.fixture(scope="module")
def kernel(guest) -> Kernel:
    return Kernel.open(guest.memory)


@pytest.mark.parametrize(
    "name", ["struct job", "struct job *", "char [8]", "unsigned long", "struct list_head"]
)
def test_types_as_c_calls_them(kernel, name):
    assert kernel.type(name).type_name() == name


def test_a_type_that_is_not_there(kernel):
    with pytest.raises(KernelError, match="has no type 'struct nothing'"):
        kernel.type("struct nothing")
    with pytest.raises(KernelError, match="'int int' is no type"):
        kernel.type("int int")


@pytest.mark.parametrize("name", ["int " + "*" * 20000, "int" + "[1]" * 20000, "int " + "a" * 600])
def test_a_type_that_is_too_long(kernel, name):
    with pytest.raises(KernelError, match="is no type: it is too long") as caught:
        kernel.type(name)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["int " + "*" * 500, "int" + "[1]" * 160])
def test_a_type_that_is_almost_too_deep(kernel, name):
    assert kernel.codec(name).sizeof == (8 if "*" in name else 4)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("init_uts_ns.name.nodename", b"qemu1"),
        ("init_pid_ns.level", 3),
        ("init_pid_ns.first.name", b"first"),
        ("init_pid_ns.first.next.id", 8),
        ("init_pid_ns.first.name[1]", ord("i")),
    ],
)
def test_members(kernel, path, value):
    found = kernel.object(path)
    assert (found.string_() if isinstance(value, bytes) else found.value_()) == value


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("init_pid_ns.lvel", KernelError, "struct pid_namespace has no member 'lvel'.*level"),
        ("init_pid_ns.level.x", KernelError, "int has no member 'x'"),
        ("init_pid_ns.level[1]", KernelError, "int is no array"),
        ("init_pid_ns.first.name[8]", KernelError, r"has no element 8; it has 0 to 7"),
        ("init_pid_ns.first.next.next.next.id", FaultError, "0xdead000000000010"),
        ("untold", KernelError, "nobody tells the type of untold.*struct NAME"),
        ("no_such_thing", KernelError, "no symbol 'no_such_thing'"),
        ("init_pid_ns..x", UsageError, "no symbol with members"),
        (
            "counter",
            KernelError,
            "each CPU has its own counter; say which: counter@CPU; CPUs: 0, 1",
        ),
        ("counter@2", KernelError, "there is no CPU 2; its CPUs: 0, 1"),
        ("init_pid_ns@0", KernelError, "init_pid_ns is no per-CPU variable; leave @0 out"),
    ],
)
def test_paths_that_lead_nowhere(kernel, path, error, words):
    with pytest.raises(error, match=words):
        kernel.object(path)


def test_drgn_finds_symbols_both_ways(guest, kernel):
    address = guest.symbols["init_uts_ns"]
    assert kernel.prog.symbol("init_uts_ns").address == address
    assert kernel.prog.symbol(address + 4).name == "init_uts_ns"
    assert {s.name for s in kernel.prog.symbols()} == set(guest.symbols)
    with pytest.raises(LookupError):
        kernel.prog.symbol("no_such_thing")


def test_drgn_reads_variables(kernel):
    assert kernel.prog["init_pid_ns"].first.id.value_() == 7
    assert kernel.prog["init_uts_ns"].name.sysname.string_() == b"Linux"
    head = kernel.prog["modules"]
    assert list(list_for_each_entry("struct list_head", head.address_of_(), "next")) == []


def test_drgn_finds_copies_of_per_cpu_variables(guest, kernel):
    place = drgn.Object(kernel.prog, "int", address=guest.symbols["counter"])
    assert [per_cpu(place, cpu).value_() for cpu in kernel.cpus()] == [5, 6]


def test_the_codec_of_a_type(guest, kernel):
    for codec in (kernel.codec("struct job"), kernel.codec(kernel.type("struct job"))):
        data = codec.build({"id": 5, "name": "x", "next": 0})
        assert len(data) == codec.sizeof == guest.types["struct job"].size
        assert codec.parse(data)["id"] == 5


def test_what_drgn_refuses_is_our_error():
    guest = FakeGuest()
    guest.build_id = "not hexadecimal"
    kernel = Kernel.open(guest.memory)
    assert kernel.symbol("init_uts_ns").address == guest.symbols["init_uts_ns"]
    with pytest.raises(KernelError, match=r"VMCOREINFO of Linux .* is damaged"):
        kernel.type("int")
