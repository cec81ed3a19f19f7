# SPDX-License-Identifier: MIT
"""The fake guest is what it claims: drgn's own C code reads it as it reads a real one."""

from __future__ import annotations

import drgn
import pytest
from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms

from tests.support.cdecl import CTypes
from tests.support.fakekallsyms import compress
from tests.support.fakekernel import FakeGuest
from tests.support.fakespace import PAGE


def program(guest: FakeGuest) -> drgn.Program:
    """drgn on the guest's RAM, told nothing but VMCOREINFO."""
    memory = guest.memory
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    prog.set_linux_kernel_custom(guest.vmcoreinfo(), False)
    size = len(guest.space.data)
    prog.add_memory_segment(0, size, lambda address, count, *_: memory.read(address, count), True)
    prog.register_symbol_finder("kallsyms", load_vmlinux_kallsyms(prog), enable_index=0)
    return prog


@pytest.mark.parametrize("levels", [4, 5])
@pytest.mark.parametrize("absolute_percpu", [True, False])
def test_drgn_reads_its_symbols(levels: int, absolute_percpu: bool) -> None:
    guest = FakeGuest(levels=levels, absolute_percpu=absolute_percpu)
    guest.function("a_name_longer_than_127_tokens" + "".join(map(chr, range(58, 127))) * 2)
    for index in range(300):
        guest.function(f"some_driver_function_{index}")
    prog = program(guest)
    listed = {s.name: s.address for s in prog.symbols()}
    # Without absolute_percpu an offset cannot say what is far below the kernel.
    known = {n: va for n, va in guest.symbols.items() if absolute_percpu or va >= guest.base}
    assert {name: listed[name] for name in known} == known
    assert prog.symbol("some_driver_function_77").size == 16


@pytest.mark.parametrize("levels", [4, 5])
def test_drgn_translates_all_its_areas(levels: int) -> None:
    guest = FakeGuest(levels=levels)
    places = {
        guest.data("in_image", b"image"): b"image",
        guest.alloc(64): b"direct map",
        guest.vmalloc(5 * PAGE) + PAGE - 4: b"scattered pages",
        guest.vmalloc(3 * PAGE, modules=True) + PAGE - 4: b"module",
    }
    for va, content in places.items():
        guest.space.write(va, content)
    prog = program(guest)
    for va, content in places.items():
        assert prog.read(va, len(content)) == content
    with pytest.raises(drgn.FaultError):
        prog.read(max(places) + 3 * PAGE, 1)


def test_names_survive_compression() -> None:
    names = [b"Tntb_link_up", b"tntb_link_down", b"Dntb_", b"Tx" * 20]
    tokens, packed = compress(names)
    assert [b"".join(tokens[code] for code in name) for name in packed] == names
    assert sum(map(len, packed)) < sum(map(len, names)) / 2


def test_layouts_are_those_of_the_x86_64_abi() -> None:
    types = CTypes()
    types.declare(
        """
        enum mode { off, on = 5, best };
        struct inner { char c; short s; };
        typedef struct inner inner_t;
        struct outer {
            char first; inner_t in[3]; union { u64 wide; struct { u32 low, high; }; };
            unsigned int a:3, b:30; void (*call)(int, struct outer *); struct outer *next, *pair[2];
            enum mode mode; char tail[];
        };
        """
    )
    outer = types["struct outer"]
    expected = {
        "in": 2, "in[2].s": 12, "wide": 16, "high": 20, "a": 24, "b": 28, "call": 32, "next": 40,
        "pair[1]": 56, "mode": 64, "tail": 68,
    }  # fmt: skip
    assert {path: outer.find(path)[0] for path in expected} == expected
    assert outer.size == 72
    assert types["enum mode"].values == {"off": 0, "on": 5, "best": 6}


def test_members_are_written_by_path() -> None:
    guest = FakeGuest()
    guest.types.declare("struct job { unsigned a:3, b:5; char name[8]; struct list_head list; };")
    job = guest.new("struct job", a=5, b=17, name=b"first")
    job["list.next"] = job
    assert (job["a"], job["b"], job.bytes("name")) == (5, 17, b"first\0\0\0")
    assert job["list.next"] == job.address
    guest.memory  # noqa: B018  # completes it
    job["b"] = 3
    assert guest.memory.read(guest.physical(job.address), 1) == bytes([5 | 3 << 3])


def test_vmcoreinfo_lies_there_twice_and_can_be_changed() -> None:
    guest = FakeGuest()
    guest.omit.add("kallsyms_names")
    data = guest.memory.read(0, len(guest.space.data))
    assert data.count(guest.vmcoreinfo().encode()) == 2
    assert "kallsyms_names" not in guest.vmcoreinfo()
    assert "OSRELEASE" not in guest.vmcoreinfo(OSRELEASE=None)
