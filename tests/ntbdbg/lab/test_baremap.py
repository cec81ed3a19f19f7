# SPDX-License-Identifier: MIT
"""RAM files that no run.json knows: where their bytes lie, and who says so."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.arch.x86.e820 import (
    ZERO_PAGE_SIZE,
    E820Entry,
    e820_entries,
    find_low_map,
    looks_filled,
    ranges_of,
)
from ntbdbg.errors import FaultError
from ntbdbg.inspect.zeropage import BOOT_PARAMS
from ntbdbg.lab.lab import Lab
from ntbdbg.memory.layout import qemu_segments
from tests.support.fakekernel import FakeGuest

GIB, MIB = 1 << 30, 1 << 20
PLACE = 0x14790
"""Where QEMU's own boot loader leaves it."""


def zero_page(*ranges: tuple[int, int, int]) -> bytes:
    """A zero page with these ranges: start, end, type."""
    page = BOOT_PARAMS.parse(bytes(ZERO_PAGE_SIZE))
    page.hdr.header = int.from_bytes(b"HdrS", "little")
    page.hdr.boot_flag, page.hdr.version = 0xAA55, 0x20F
    page.e820_entries = len(ranges)
    for slot, (start, end, kind) in zip(page.e820_table, ranges, strict=False):
        slot.addr, slot.size, slot.type = start, end - start, kind
    return BOOT_PARAMS.build(page)


def machine_map(low: int, high: int) -> bytes:
    """As SeaBIOS tells it: the end of low RAM is reserved, a device lies far above."""
    ranges = [(0, 0x9FC00, 1), (0xF0000, MIB, 2), (MIB, low - 0x20000, 1), (low - 0x20000, low, 2)]
    ranges += [(0xB000_0000, 0xC000_0000, 2)] if low <= 2 * GIB else []
    ranges += [(4 * GIB, 4 * GIB + high, 1)] if high else []
    return zero_page(*ranges, (0xFD_0000_0000, 0x100_0000_0000, 2))


def ram_file(folder: Path, size: int, page: bytes = b"") -> str:
    path = folder / "guest.ram"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(PLACE)
        file.write(page)
        file.seek(2 * GIB + 8)
        file.write(b"at 2 GiB of the file")
    return str(path)


@pytest.mark.parametrize(
    ("low", "high", "address"),
    [
        (2 * GIB, GIB, 4 * GIB + 8),
        (3 * GIB, GIB, 2 * GIB + 8),
        (GIB, 3 * GIB, 5 * GIB + 8),
        (3 * GIB, 0, 2 * GIB + 8),
    ],
    ids=["q35", "pc", "max-ram-below-4g", "all low"],
)
def test_the_guests_own_map_decides(tmp_path, low, high, address):
    path = ram_file(tmp_path, low + high, machine_map(low, high))
    lab = Lab.open()
    assert lab.guest(path).read(address, 8) == b"at 2 GiB"
    note = next(note for note in lab.notes if "own memory map says" in note)
    assert f"{low // GIB} GiB from 0x0" in note


def test_without_such_a_map_a_q35_machine_is_assumed(tmp_path):
    path = ram_file(tmp_path, 3 * GIB)
    lab = Lab.open()
    assert lab.guest(path).read(4 * GIB + 8, 8) == b"at 2 GiB"
    assert any("of a q35 machine" in note for note in lab.notes)


@pytest.mark.parametrize(
    ("low", "high"), [(3 * GIB, 0), (2 * GIB, GIB), (GIB, 2 * GIB)], ids=["pc", "q35", "other"]
)
def test_the_kernels_map_where_firmware_left_none(tmp_path, low, high):
    linux = FakeGuest()
    page = BOOT_PARAMS.parse(machine_map(low, high))
    page.hdr.boot_flag = page.hdr.version = 0  # as a kernel that UEFI starts has them
    linux.data("boot_params", BOOT_PARAMS.build(page), kind="D")
    path = ram_file(tmp_path, 3 * GIB)
    linux.save(Path(path))
    lab = Lab.open()
    memory = lab.guest(path).memory
    assert sum(segment.size for segment in memory.segments if segment.start >= 4 * GIB) == high
    assert memory.read(2 * GIB + 8 if low > 2 * GIB else 6 * GIB - low + 8, 8) == b"at 2 GiB"
    assert any("own memory map says" in note for note in lab.notes)


def test_a_kernel_whose_map_does_not_fit_is_left_alone(tmp_path):
    linux = FakeGuest()
    linux.data("boot_params", machine_map(2 * GIB, 2 * GIB), kind="D")
    path = ram_file(tmp_path, 3 * GIB)
    linux.save(Path(path))
    lab = Lab.open()
    assert list(lab.guest(path).memory.segments) == list(qemu_segments("q35", 3 * GIB))
    assert any("of a q35 machine" in note for note in lab.notes)


def test_what_the_user_says_counts_but_a_disagreement_is_told(tmp_path):
    path = ram_file(tmp_path, 4 * GIB, machine_map(2 * GIB, 2 * GIB))
    lab = Lab.open(machine="pc")
    assert lab.guest(path).read(2 * GIB + 8, 8) == b"at 2 GiB"
    assert any(
        "taken for a pc machine, 3 GiB from 0x0, 1 GiB from 0x100000000; but" in note
        and note.endswith("says: 2 GiB from 0x0, 2 GiB from 0x100000000")
        for note in lab.notes
    )
    agreeing = Lab.open(machine="q35")
    agreeing.guest(path)
    assert not any("own memory map" in note for note in agreeing.notes)


def vectors() -> bytes:
    """Interrupt vectors of a PC's BIOS."""
    return struct.pack("<256I", *[0xF000FF53] * 256)


@pytest.mark.parametrize(("low", "high"), [(GIB, GIB), (MIB * 256, MIB * 512)])
def test_a_small_file_is_split_where_its_guest_says(tmp_path, low, high):
    """As QEMU does with max-ram-below-4g."""
    path = tmp_path / "guest.ram"
    page = machine_map(low, high)
    with path.open("wb") as file:
        file.truncate(low + high)
        file.seek(PLACE)
        file.write(page)
        file.seek(low)
        file.write(b"above 4 GiB")
    lab = Lab.open()
    assert lab.guest(str(path)).read(4 * GIB, 5) == b"above"
    with pytest.raises(FaultError, match="PCI hole"):
        lab.guest(str(path)).read(low, 1)


@pytest.mark.parametrize(
    ("size", "low", "high", "more", "runs"),
    [
        (256 * MIB, 512 * MIB, 0, "256 MiB", [(0, 256 * MIB)]),
        (3 * GIB, 2 * GIB, 4 * GIB, "3 GiB", [(0, 2 * GIB), (4 * GIB, 5 * GIB)]),
    ],
)
def test_the_first_of_several_nodes_files(tmp_path, size, low, high, more, runs):
    path = ram_file(tmp_path, max(size, 0), machine_map(low, high))
    with Path(path).open("r+b") as file:
        file.truncate(size)
    lab = Lab.open()
    found = [(run.start, run.end) for run in lab.guest(path).memory.segments.runs()]
    assert [(0, found[1][1]), *found[2:]] == runs
    assert any(
        f"its guest has {more} of RAM more, which lie in another file" in n for n in lab.notes
    )


def test_what_begins_as_a_pc_does_is_not_doubted(tmp_path):
    path = tmp_path / "guest.ram"
    path.write_bytes(vectors().ljust(4 * MIB, b"\0"))
    lab = Lab.open()
    lab.guest(str(path))
    assert not any("address 0" in note for note in lab.notes)
    path.write_bytes(bytes(range(256)).ljust(4 * MIB, b"\0"))
    lab = Lab.open()
    lab.guest(str(path))
    assert any("nothing in it tells that it begins at guest-physical" in n for n in lab.notes)


def test_a_map_without_low_ram_is_left_alone(tmp_path):
    page = zero_page((0, 0x9FC00, 1), (4 * GIB, 5 * GIB, 1))
    path = tmp_path / "small.ram"
    path.write_bytes(page.rjust(PLACE + len(page), b"\0").ljust(4 * MIB, b"\0"))
    with pytest.raises(FaultError, match="beyond the end of RAM"):
        Lab.open().guest(str(path)).read(4 * GIB, 1)


@pytest.mark.parametrize(
    "page",
    [
        machine_map(2 * GIB, 2 * GIB),  # for a file of another size
        zero_page((0, 0x9FC00, 1), (4 * GIB, 4 * GIB + 5, 1)),
        zero_page((0, 3 * GIB, 1), (4 * GIB, 4 * GIB + 5, 1)),
        zero_page((0, GIB, 2)),
    ],
)
def test_a_map_that_does_not_fit_is_left_alone(tmp_path, page):
    lab = Lab.open()
    guest = lab.guest(ram_file(tmp_path, 3 * GIB, page))
    assert list(guest.memory.segments) == list(qemu_segments("q35", 3 * GIB))


def test_entries_as_construct_reads_them():
    page = zero_page((0, 0x9FC00, 1), (MIB, GIB, 3), (4 * GIB, 5 * GIB, 99))
    parsed = BOOT_PARAMS.parse(page)
    assert [(e.addr, e.size) for e in parsed.e820_table[:3]] == [
        (e.start, e.size) for e in e820_entries(page)
    ]
    assert [e.kind for e in e820_entries(page)] == ["RAM", "ACPI data", "type 99"]


@given(st.binary(max_size=2 * ZERO_PAGE_SIZE), st.integers(0, 1 << 34))
def test_any_bytes_as_low_memory(noise, size):
    found = find_low_map(b"HdrS".join((noise, noise)))
    segments = ranges_of(found, size) if found else None
    if segments is not None:
        assert max(part.offset + part.end - part.start for part in segments) == size


@given(st.lists(st.tuples(*[st.integers(0, (1 << 64) - 1)] * 2, st.integers(0, 9)), max_size=8))
def test_any_map(rows):
    page = bytearray(zero_page(*[(0, 1, 1)] * len(rows)))
    for index, row in enumerate(rows):
        struct.pack_into("<QQI", page, 0x2D0 + 20 * index, *row)
    if looks_filled(bytes(page)):
        entries = e820_entries(bytes(page))
        segments = ranges_of(entries, 5 * GIB)
        assert segments is None or max(s.offset + s.end - s.start for s in segments) <= 5 * GIB
    assert ranges_of((E820Entry(0, 1 << 60, "RAM"),), GIB) is None
