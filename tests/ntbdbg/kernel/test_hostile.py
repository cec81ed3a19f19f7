# SPDX-License-Identifier: MIT
"""Kernels in damaged memory: never a hang, a crash or memory without limit."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.arch.x86_64 import paging
from ntbdbg.budget import Budget
from ntbdbg.cli.main import COMMANDS
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.boot.locate import find_vmcoreinfo, scan
from ntbdbg.kernel.btf.format import TYPE_WORDS
from ntbdbg.kernel.btf.reader import Kind
from ntbdbg.kernel.image import index
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.mmu.paging import PageTables
from ntbdbg.kernel.mmu.virtual import VirtualMemory
from ntbdbg.kernel.modules.listing import walk_list
from ntbdbg.kernel.symbols.kallsyms import load_kallsyms
from ntbdbg.memory import BufferMemory
from ntbdbg.ntb.driver import read_driver
from tests.fuzz import commands
from tests.support.fakekernel import FakeGuest
from tests.support.fakemodules import FakeModules
from tests.support.fakentb import FakeIdt
from tests.support.fakepci import FakePci

CHECKOUT = Path(__file__).parents[3]
PAGE = 4096


def test_a_campaign():
    """Commands in processes with limited memory and time, so that C code that goes wild is seen."""
    argv = [sys.executable, "-m", "tests.fuzz.ram", "--seed", "20000", "--cases"]
    argv += ["30", "--share", "5"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.startswith("30 cases from 20000 on: 180 commands, ")


def test_the_campaign_knows_every_command():
    told = {word for words in commands.of_lab() for word in words[:3]}
    assert told >= set(COMMANDS)


@given(st.binary(max_size=3 * PAGE), st.integers(0, (1 << 64) - 1), st.sampled_from([4, 5]))
def test_any_bytes_as_page_tables(noise, address, levels):
    memory = BufferMemory(noise.ljust(4 * PAGE, b"\x67"))
    tables = PageTables(memory, 0, paging(levels))
    walk = tables.walk(address)
    assert len(walk.steps) <= levels
    try:
        found, left = tables.translate(address)
    except FaultError as error:
        assert walk.address is None
        assert error.reason == walk.reason
    else:
        assert (walk.address, walk.page_size) == (found, found % walk.page_size + left)


def test_page_tables_that_lead_to_themselves():
    memory = BufferMemory((0x67).to_bytes(8, "little") * 512)
    virtual = VirtualMemory(PageTables(memory, 0, paging()))
    assert virtual.pieces(0x1000, PAGE) == [(0, PAGE)]
    assert virtual.read(0xFF8, 8) == (0x67).to_bytes(8, "little")


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_any_bytes_as_symbols(chance: random.Random):
    guest = FakeGuest()
    memory = guest.memory
    for name, address in guest.tables.items():
        if name.startswith("kallsyms") and chance.random() < 0.5:
            size = chance.choice((1, 4, 64, 512))
            guest.space.write(address + chance.randrange(64), chance.randbytes(size))
    info = find_vmcoreinfo(memory)[0]
    virtual = VirtualMemory(PageTables(memory, info.page_table_root, info.geometry))
    try:
        found = load_kallsyms(virtual, info, Budget())
    except KernelError:
        return
    assert len(found.addresses) == len(found.names)


def test_a_symbol_count_without_limit():
    guest = FakeGuest()
    memory = guest.memory
    for count in (0, 1 << 21, (1 << 32) - 1):
        guest.space.write(guest.tables["kallsyms_num_syms"], count.to_bytes(4, "little"))
        info = find_vmcoreinfo(memory)[0]
        virtual = VirtualMemory(PageTables(memory, info.page_table_root, info.geometry))
        try:
            load_kallsyms(virtual, info, Budget())
        except KernelError as error:
            assert "symbol" in error.message
        else:
            raise AssertionError(f"{count} symbols were believed")


def test_memory_full_of_vmcoreinfo():
    text = FakeGuest().vmcoreinfo().encode()
    pages = [(text + f"X={number}\n".encode()).ljust(PAGE, b"\0") for number in range(200)]
    assert len(scan(BufferMemory(b"".join(pages)))) == 64


def test_lists_that_go_in_circles_break_off_or_never_end():
    size = 64 * PAGE
    data = bytearray(size)
    memory = BufferMemory(data)

    def link(at: int, to: int) -> None:
        data[at : at + 8] = to.to_bytes(8, "little")

    for at in range(0, size, 16):
        link(at, at + 16)
    assert "broken" in (walk_list(memory, 0, 1 << 20).partial or "")
    assert walk_list(memory, 0, 10).partial == "only the first 10 are looked at"
    link(64, 32)
    found = walk_list(memory, 0, 1 << 20)
    assert (found, found.partial) == ([16, 32, 48, 64], "the list goes in a circle at 0x20")
    link(64, 0)
    found = walk_list(memory, 0, 4)
    assert (found, found.partial) == ([16, 32, 48, 64], None)


def test_what_makes_no_sense_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = FakeGuest()
    memory = guest.memory
    guest.space.write(guest.tables["kallsyms_num_syms"], bytes(4))
    looks: list[object] = []
    counted = index.load_kallsyms

    def load(*words: object) -> object:
        looks.append(words)
        return counted(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(index, "load_kallsyms", load)
    kernel = Kernel.open(memory, cache=False, budget=Budget())
    for _ in range(3):
        with pytest.raises(KernelError, match="it claims 0 symbols"):
            kernel.symbol("init_task")
    assert len(looks) == 1
    session = Kernel.open(memory, cache=False)
    for _ in range(3):  # it may boot, and have symbols when it is asked again
        with pytest.raises(KernelError):
            session.symbol("init_task")
    assert len(looks) == 4


def claim_elements(guest: FakeGuest, struct: str, member: str, count: int) -> BufferMemory:
    """The memory of `guest`, whose types say that an array has `count` elements."""
    memory = guest.copy()
    btf = Kernel.open(memory, cache=False).btf
    number = btf.by_name(Kind.STRUCT, struct)
    assert number is not None
    array = next(one.type for one in btf.members(number) if one.name == member)
    at = int.from_bytes(btf.data[4:8], "little") + 4 * (btf._row(array)[1] + TYPE_WORDS + 2)
    place = guest.physical(guest.symbols["__start_BTF"] + at)
    memory.write(place, count.to_bytes(4, "little"))
    return memory


@pytest.mark.parametrize("count", [1 << 16, (1 << 32) - 1])
def test_an_array_without_end_in_a_module(count: int) -> None:
    guest = FakeGuest()
    FakeModules(guest, mem=True).add("ntb")
    memory = claim_elements(guest, "module", "mem", count)
    tracemalloc.start()
    (module,) = Kernel.open(memory, cache=False).modules()
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert (module.name, module.regions[0].kind) == ("ntb", "text")


@pytest.mark.parametrize("count", [1 << 16, (1 << 32) - 1])
def test_peers_without_end_in_a_driver(count: int) -> None:
    guest = FakeGuest()
    idt = FakeIdt(guest, FakePci(guest), port=0, part=0, peers=[(2, 1)])
    idt.dev["peer_cnt"] = 255
    driver = read_driver(Kernel.open(claim_elements(guest, "idt_ntb_dev", "peers", count)))
    assert len(driver.peers) <= 64
    assert "it claims 255 peers" in driver.notes[0]
