# SPDX-License-Identifier: MIT
"""A kernel's image by itself: what all readers begin with, without the facade above them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ntbdbg.errors import KernelError
from ntbdbg.kernel.boot.locate import scan
from ntbdbg.kernel.image.image import KernelImage
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.opening import open_kernel
from ntbdbg.kernel.symbols.symbols import SymbolTable
from tests.support.fakekernel import FakeGuest


def image_of(guest: FakeGuest, **options) -> KernelImage:
    return KernelImage(guest.memory, scan(guest.memory)[0], **options)


@pytest.fixture
def guest() -> FakeGuest:
    guest = FakeGuest()
    guest.function("foo", 32, kind="T")
    guest.percpu("runqueues", "int", 41, 42)
    return guest


def test_addresses_symbols_and_types(guest):
    image = image_of(guest)
    symbol = image.symbol("foo")
    assert symbol.address == guest.symbols["foo"]
    assert image.translate(symbol.address) == guest.physical(symbol.address)
    assert image.cpus() == [0, 1]
    place = image.percpu(image.symbol("runqueues").address, 1)
    assert image.virtual.read(place, 4) == (42).to_bytes(4, "little")
    assert image.layouts["list_head"].size == 16
    assert repr(image) == f"<KernelImage {guest.release} in {guest.memory.name}>"


def test_its_symbols_are_those_of_vmlinux(guest):
    with pytest.raises(KernelError, match=r"no symbol 'fo' in Linux \S+; symbols are case"):
        image_of(guest).symbol("fo")


def test_one_that_is_needed_says_what_its_absence_means(guest):
    image = image_of(guest)
    assert image.own_address("foo", "foo is off") == guest.symbols["foo"]
    with pytest.raises(KernelError, match="has no symbol bar; bar is off"):
        image.own_address("bar", "bar is off")


def test_names_of_this_moment_need_no_more(guest):
    assert Symbolizer(image_of(guest)).label(guest.symbols["foo"] + 4) == "foo+0x4"


def test_other_symbols_are_asked_for_where_its_own_cannot_be_found(guest):
    guest.omit = {"kallsyms_names"}  # as before Linux 6.0
    asked: list[KernelImage] = []

    def others(image: KernelImage) -> SymbolTable:
        asked.append(image)
        return SymbolTable.empty()

    image = image_of(guest, debug_symbols=others)
    assert len(image.table) == 0
    assert asked == [image]


def test_one_is_chosen_among_images(guest):
    notes: list[str] = []

    def make(info, lost):
        return KernelImage(guest.memory, info, lost=lost)

    image = open_kernel(guest.memory, make, notes.append)
    assert (type(image), image.number, image.others, notes) == (KernelImage, 1, [], [])


def test_readers_load_no_drgn_and_no_facade():
    """Whoever reads tasks, clocks, stacks or modules is free of what stands above an image."""
    code = (
        "import sys, ntbdbg.kernel.tasks.system, ntbdbg.kernel.stacks.backtrace, "
        "ntbdbg.kernel.asked.symsearch, ntbdbg.kernel.log.panicwatch, ntbdbg.kernel.opening\n"
        "print(sorted({'drgn', 'ntbdbg.kernel.kernel'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
