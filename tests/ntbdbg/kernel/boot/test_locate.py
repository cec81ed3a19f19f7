# SPDX-License-Identifier: MIT
"""Finding the text that a kernel keeps about itself, in both places where it keeps it."""

from __future__ import annotations

import pytest

from ntbdbg.kernel.boot.locate import contradiction, find_vmcoreinfo, implausible, scan
from ntbdbg.memory import BufferMemory, RamFile, Segment
from tests.support.fakekernel import FakeGuest

PAGE = 4096


@pytest.fixture
def guest() -> FakeGuest:
    guest = FakeGuest()
    _ = guest.memory
    return guest


def test_two_copies_are_one_kernel(guest):
    (found,) = scan(guest.memory)
    assert found.text.decode() == guest.vmcoreinfo()
    assert found.address == guest.physical(guest.tables["vmcoreinfo_data"])


@pytest.mark.parametrize("lost", ["vmcoreinfo_data", "vmcoreinfo_note"])
def test_either_copy_is_enough(guest, lost):
    guest.space.write(guest.tables[lost], b"\xff" * PAGE)
    (found,) = find_vmcoreinfo(guest.memory)
    kept = "vmcoreinfo_note" if lost == "vmcoreinfo_data" else "vmcoreinfo_data"
    start = guest.physical(guest.tables[kept])
    assert found.address == start + (24 if kept == "vmcoreinfo_note" else 0)


def test_without_either_there_is_none(guest):
    for name in ("vmcoreinfo_data", "vmcoreinfo_note"):
        guest.space.write(guest.tables[name], b"\xff" * PAGE)
    assert find_vmcoreinfo(guest.memory) == []


def test_a_copy_that_is_no_page_start_is_somebody_elses(guest):
    text = guest.vmcoreinfo(BUILD_ID="").encode()
    guest.space.poke(guest.physical(guest.alloc(2 * PAGE, align=PAGE)) + 64, text)
    assert len(scan(guest.memory)) == 1


def test_a_text_of_another_kernel_is_found_but_its_page_tables_are_not(guest):
    address = guest.leave_vmcoreinfo(guest.vmcoreinfo(**{"NUMBER(phys_base)": "4096"}))
    texts = {info.address: info for info in scan(guest.memory)}
    assert len(texts) == 2
    assert "page tables are gone" in (implausible(guest.memory, texts[address]) or "")
    assert [info.address for info in find_vmcoreinfo(guest.memory)] == sorted(
        set(texts) - {address}
    )


def test_what_the_kernel_calls_itself_is_compared(guest):
    (info,) = scan(guest.memory)
    assert contradiction(guest.memory, info) is None
    names = guest.at(guest.symbols["init_uts_ns"], "struct uts_namespace")
    names["name.release"] = b"5.10.0"
    assert contradiction(guest.memory, info) == "init_uts_ns says that it is '5.10.0'"


def test_progress_reaches_the_end(guest):
    seen: list[tuple[int, int]] = []
    scan(guest.memory, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(guest.space.data)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_holes_of_a_file_are_not_read(tmp_path, guest):
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.write(guest.space.data)
    (found,) = scan(RamFile(str(path), [Segment(0, 1 << 40, 0)]))
    assert found.release == guest.release


def test_segments_that_are_no_whole_pages():
    data = FakeGuest().memory.read(0, 1 << 20)
    odd = [Segment(0x123, 0x4000, 0), Segment(0x9FFF, 5, 0x8000)]
    assert scan(BufferMemory(data, odd)) == []
