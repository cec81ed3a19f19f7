# SPDX-License-Identifier: MIT
"""Which kernel is taken: the one a dump names, one without page tables, one of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from ntbdbg.errors import FaultError, KernelError, UsageError
from ntbdbg.kernel import opening
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.ring import PrintkRing
from ntbdbg.kernel.tasks.system import system_info
from ntbdbg.kernel.tasks.tasks import TaskWalker
from ntbdbg.memory.formats import open_image
from ntbdbg.memory.image import ImageMemory
from tests.support.elfwriter import Load, elf_core, note
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.twokernels import later_and_earlier, together

PAGE = 4096


@pytest.fixture
def guest() -> FakeGuest:
    guest = FakeGuest()
    furnish("qemu1", guest)
    _ = guest.memory
    return guest


def lose_page_tables(guest: FakeGuest) -> None:
    start = guest.physical(guest.symbols["swapper_pg_dir"])
    guest.space.poke(start, b"\xee" * PAGE)


def lose_texts(guest: FakeGuest) -> None:
    for name in ("vmcoreinfo_data", "vmcoreinfo_note"):
        guest.space.poke(guest.physical(guest.tables[name]), bytes(PAGE))


def core(guest: FakeGuest, path: Path, **changes: str) -> ImageMemory:
    text = guest.vmcoreinfo(**changes).encode()
    notes = note(b"VMCOREINFO", 0, text)
    path.write_bytes(elf_core([Load(0, bytes(guest.space.data))], notes))
    return open_image(str(path), "elfcore", "core")


def test_a_dumps_note_names_the_kernel_without_a_scan(
    guest: FakeGuest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "scan", lambda memory: pytest.fail("it was looked for"))
    lose_texts(guest)
    kernel = Kernel.open(core(guest, tmp_path / "core"))
    assert kernel.info.release == guest.release
    assert (kernel.info.address, kernel.info.place) == (None, "in the dump's notes")
    assert kernel.symbol("init_uts_ns").address == guest.symbols["init_uts_ns"]


def test_a_note_of_another_kernel_is_not_believed(guest: FakeGuest, tmp_path: Path) -> None:
    kernel = Kernel.open(core(guest, tmp_path / "core", OSRELEASE="5.5.5"))
    assert kernel.info.release == guest.release
    assert kernel.info.address is not None


def test_without_page_tables_image_and_direct_map_are_read(guest: FakeGuest) -> None:
    lose_page_tables(guest)
    notes: list[str] = []
    kernel = Kernel.open(guest.memory, notify=notes.append)
    log = PrintkRing(kernel.virtual, kernel.info).read()
    assert any("Linux version" in record.text for record in log.records)
    info = system_info(kernel)
    assert info.nodename is not None
    assert info.command_line == "console=ttyS0 ntbdbg.hostname=qemu1"
    assert {task.pid for task in TaskWalker(kernel).walk()} >= {1, 2, 150}
    (told,) = notes
    assert "its page tables are gone" in told
    assert "where VMCOREINFO says" in told
    with pytest.raises(FaultError, match="page tables are gone"):
        kernel.virtual.read(0xFFFF_C900_0000_1000, 8)


def test_without_page_tables_and_image_there_is_no_kernel(guest: FakeGuest) -> None:
    guest.at(guest.symbols["init_uts_ns"], "struct uts_namespace")["name.release"] = b"0.1"
    lose_page_tables(guest)
    with pytest.raises(KernelError, match=r"left its VMCOREINFO at .* page tables are gone"):
        Kernel.open(guest.memory)


def test_one_of_several_kernels_is_taken_by_its_number() -> None:
    memory = together(*later_and_earlier())
    notes: list[str] = []
    live = Kernel.open(memory, notify=notes.append)
    assert "2 kernels are in its RAM" in notes[0]
    assert (live.number, live.other_numbers) == (1, [2])
    other = Kernel.open(memory, which=2, notify=notes.append)
    assert len(notes) == 1, "who says which knows that there are several"
    assert (other.number, other.other_numbers) == (2, [1])
    assert other.info == live.others[0]
    assert Kernel.open(memory, which=1).info == live.info


@pytest.mark.parametrize(
    "change",
    [
        {"OFFSET(list_head.next)": "x"},
        {"OSRELEASE": "6.1.0-57-amd64"},
        {"SYMBOL(swapper_pg_dir)": "ffffffff81234000"},
        {"SYMBOL(_stext)": None, "SIZE(list_head)": "17"},
        {"NUMBER(phys_base)": "?"},
    ],
    ids=str,
)
def test_a_damaged_copy_of_what_a_kernel_says_is_no_kernel(
    guest: FakeGuest, change: dict[str, str | None]
) -> None:
    place = guest.leave_vmcoreinfo(guest.vmcoreinfo(**change))
    notes: list[str] = []
    kernel = Kernel.open(guest.memory, notify=notes.append)
    assert (kernel.lost, kernel.others) == (None, [])
    assert kernel.info.release == guest.release
    assert kernel.info.address != place
    assert all("differ, so one is damaged; taken is that at" in note for note in notes)
    with pytest.raises(UsageError, match="no kernel 2 in its RAM"):
        Kernel.open(guest.memory, which=2)


def test_a_damaged_first_copy_gives_way_to_the_whole_one(guest: FakeGuest) -> None:
    place = guest.physical(guest.tables["vmcoreinfo_data"])
    text = guest.vmcoreinfo(OSRELEASE="6.1.0-57-amd64").encode()
    guest.space.poke(place, text)
    kernel = Kernel.open(guest.memory)
    assert (kernel.info.release, kernel.others) == (guest.release, [])
    assert kernel.info.address != place


@pytest.mark.parametrize("number", [0, 3, 99])
def test_a_number_that_is_not_there_lists_those_that_are(number: int) -> None:
    memory = together(*later_and_earlier())
    with pytest.raises(UsageError, match=rf"no kernel {number} in its RAM; it has 1: .*; 2: "):
        Kernel.open(memory, which=number)


def test_a_kernel_whose_page_tables_are_gone_can_be_named() -> None:
    first, second = later_and_earlier()
    lose_page_tables(second)
    memory = together(first, second)
    live = Kernel.open(memory)
    assert (live.lost, live.others) == (None, [])
    assert Kernel.open(memory, which=2).lost is not None
