# SPDX-License-Identifier: MIT
"""Dumps that say more than memory, that leave something out, and that lie."""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ntbdbg
from ntbdbg.errors import FaultError, FormatError, NtbdbgError, TargetError, UsageError
from ntbdbg.memory import AddressRange
from ntbdbg.memory.formats import open_image, sniff
from ntbdbg.memory.formats.bitmap import PageBitmap
from ntbdbg.memory.image import ImageMemory
from tests.support.avmlwriter import avml
from tests.support.elfwriter import ET_EXEC, Load, elf_core, lime, note, prstatus
from tests.support.kdumpwriter import PAGE, bitmap, flattened, kdump

MIB = 1 << 20
Open = Callable[[bytes], ImageMemory]

VMCOREINFO = b"OSRELEASE=6.1.0\nPAGESIZE=4096\n"


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Write bytes to a file, and open it as what it looks like."""

    def make(content: bytes) -> ImageMemory:
        path = tmp_path / "dump"
        path.write_bytes(content)
        reader = sniff(str(path))
        assert reader
        return open_image(str(path), reader, "guest")

    return make


def page(fill: int) -> bytes:
    return bytes([fill]) * PAGE


# -- what else dumps say ---------------------------------------------------------------------


def qemu_note(cr3: int) -> bytes:
    words = [7] * 18 + [0x10, 0xFFFF, 0, 0, 0xABC] * 10 + [1, 0, 2, cr3, 4, 0xFACE]
    layout = "<II18Q" + "IIIIQ" * 10 + "6Q"
    return struct.pack(layout, 1, struct.calcsize(layout), *words)


NOTES = b"".join(
    [
        note(b"CORE", 1, prstatus(0xFFFF_FFFF_8100_0000, 0xFFFF_C900_0000_0000)),
        note(b"CORE", 1, prstatus(0x1234, 0x5678)),
        note(b"OTHER", 99, b"odd"),
        note(b"QEMU", 0, qemu_note(0x1000)),
        note(b"QEMU", 0, qemu_note(0x2000)),
        note(b"VMCOREINFO", 0, VMCOREINFO),
    ]
)


@pytest.mark.parametrize(
    "content",
    [
        elf_core([Load(0, page(1))], NOTES),
        kdump({0: page(1)}, notes=NOTES),
        flattened(kdump({0: page(1)}, notes=NOTES)),
    ],
    ids=["elf", "kdump", "flattened"],
)
def test_notes_are_facts(opened: Open, content: bytes) -> None:
    facts = opened(content).facts
    assert facts.vmcoreinfo == VMCOREINFO
    first, second = facts.vcpus
    assert (first["cr3"], second["cr3"]) == (0x1000, 0x2000)
    assert first["gdt_base"] == 0xABC
    assert first["kernel_gs_base"] == 0xFACE
    assert facts.notes == ()


def test_prstatus_alone_gives_general_registers(opened: Open) -> None:
    facts = opened(elf_core([Load(0, page(1))], note(b"CORE", 1, prstatus(11, 22)))).facts
    (cpu,) = facts.vcpus
    assert (cpu["rip"], cpu["rsp"], cpu["rax"], cpu["rbx"]) == (11, 22, 1, 2)
    assert "cr3" not in cpu


def test_vmcoreinfo_of_a_kdump_without_notes(opened: Open) -> None:
    assert opened(kdump({0: page(1)}, vmcoreinfo=VMCOREINFO)).facts.vmcoreinfo == VMCOREINFO


def test_a_big_note_segment_is_read_whole(opened: Open) -> None:
    notes = note(b"CORE", 1, prstatus(3, 4)) * 4096 + note(b"VMCOREINFO", 0, VMCOREINFO)
    facts = opened(elf_core([Load(0, page(1))], notes)).facts
    assert len(facts.vcpus) == 4096
    assert facts.vmcoreinfo == VMCOREINFO


# -- what dumps leave out --------------------------------------------------------------------


def test_bytes_beyond_the_file_part_of_a_load_are_zero(opened: Open) -> None:
    memory = opened(elf_core([Load(0x1000, b"abc", memsz=4 * MIB)]))
    assert memory.read(0x1001, 6) == b"bc\0\0\0\0"
    assert list(memory.extents()) == [AddressRange(0x1000, 0x1003)]
    assert memory.file_offset(0x1003) is None
    assert bytes(memory.view(2 * MIB, 3)) == bytes(3)
    assert "read as zeros" in memory.facts.notes[0]
    buffer = bytearray(b"xxxx")
    memory.readinto(0x1002, memoryview(buffer))
    assert buffer == b"c\0\0\0"


def test_loads_that_adjoin_are_one_segment(opened: Open) -> None:
    memory = opened(elf_core([Load(0x1000, page(1)), Load(0x2000, page(2))]))
    assert len(memory.segments) == 1
    assert bytes(memory.view(0x1FFF, 2)) == b"\1\2"
    offset = memory.file_offset(0x1FFF)
    assert offset is not None
    assert memory.source.read(offset, 2) == b"\1\2"


def test_a_truncated_core_has_what_is_left(opened: Open) -> None:
    whole = elf_core([Load(0, page(1)), Load(MIB, page(2) + page(3))])
    memory = opened(whole[: -PAGE - 16])
    assert memory.read(MIB, PAGE - 16) == page(2)[16:]
    with pytest.raises(FaultError) as caught:
        memory.read(MIB, PAGE)
    assert caught.value.address == MIB + PAGE - 16
    assert "truncated: 4112 B" in memory.facts.notes[0]


def test_a_truncated_lime_dump_has_what_is_left(opened: Open) -> None:
    memory = opened(lime([(0, page(1)), (MIB, page(2))])[:-96])
    assert memory.read(MIB, PAGE - 96) == page(2)[96:]
    assert "truncated: 96 B" in memory.facts.notes[0]


def test_lime_ranges_may_be_empty_or_padded(opened: Open) -> None:
    first, empty = lime([(0x1000, page(65))]), lime([(0x5000, b"")])
    memory = opened(first + empty + bytes(100) + lime([(0x8000, page(66))]))
    assert (memory.read(0x1000, 2), memory.read(0x8000, 2)) == (b"AA", b"BB")
    assert [str(run) for run in memory.segments.runs()] == ["[0x1000, 0x2000)", "[0x8000, 0x9000)"]
    assert memory.facts.notes == (
        "damaged at offset 0x1040: no LiME header where the next range should begin",
    )


@pytest.mark.parametrize("rest", [bytes(512), b"garbage" * 9, b"EMiL", lime([(0x9000, b"")])[:30]])
def test_what_follows_a_lime_range_spoils_nothing(opened: Open, rest: bytes) -> None:
    memory = opened(lime([(0x1000, page(65))]) + rest)
    assert memory.read(0x1000, 2) == b"AA"
    assert "damaged at offset 0x1020" in memory.facts.notes[0]


def test_bytes_in_the_file_win_over_zeros_that_are_only_claimed(opened: Open) -> None:
    low = Load(0, page(65), memsz=0x4000)
    for loads in ([low, Load(0x2000, page(66))], [Load(0x2000, page(66)), low]):
        memory = opened(elf_core(loads))
        assert memory.read(0, 0x4000) == page(65) + page(0) + page(66) + page(0)
        assert "8 KiB are not in the file" in memory.facts.notes[0]
    memory = opened(elf_core([low._replace(data=b""), Load(0x2000, page(66))]))
    assert memory.read(0x1FFF, 2) == b"\0B"


def test_what_one_load_was_cut_short_of_another_may_have(opened: Open) -> None:
    loads = [Load(0x3000, page(84) * 2, vaddr=1), Load(0, page(1) * 8)]
    memory = opened(elf_core(loads)[: -8 * PAGE + 0x1800])
    assert memory.read(0x3000, 8) == b"T" * 8
    assert memory.facts.notes == ("the file is truncated: 18 KiB of memory are missing",)
    assert memory.left_out() == 18 << 10
    assert [str(run) for run in memory.readable()] == ["[0x0, 0x1800)", "[0x3000, 0x5000)"]
    with pytest.raises(FaultError, match="0x5000 cannot be read: the dump was cut short before"):
        memory.read(0x4FFF, 2)


def test_zeros_are_not_taken_for_what_a_file_was_cut_short_of(opened: Open) -> None:
    loads = [Load(0, page(1)), Load(0x4000, b"", memsz=0x1000), Load(0x4000, page(2))]
    memory = opened(elf_core(loads)[:-PAGE])
    with pytest.raises(FaultError, match="cut short"):
        memory.read(0x4000, 1)


def test_one_absurd_load_spoils_no_other(opened: Open) -> None:
    loads = [Load(0, page(1)), Load((1 << 63) + 5, page(2), memsz=1 << 62)]
    memory = opened(elf_core(loads))
    assert memory.read(0, 2) == b"\1\1"
    assert (
        "claims 0x4000000000000000 bytes of memory at 0x8000000000000005" in memory.facts.notes[0]
    )
    assert len(memory.segments) == 1


@pytest.mark.parametrize("piece", [PAGE, 100])
def test_a_flattened_core_is_read(opened: Open, piece: int) -> None:
    core = elf_core([Load(0x1000, page(65) + page(0) + page(66), memsz=0x4000)], NOTES)
    memory = opened(flattened(core, piece))
    assert memory.read(0x1FFF, 0x1002) == b"A" + page(0) + b"B"
    assert bytes(memory.view(0x3FFF, 1)) == b"B"
    assert memory.facts.vmcoreinfo == VMCOREINFO
    assert memory.file_offset(0x1000) is None
    assert sum(extent.size for extent in memory.extents()) >= 2 * PAGE
    cut = opened(flattened(core, piece)[: -PAGE - 16])
    assert cut.read(0x1000, 2) == b"AA"
    assert "end mark" in cut.facts.notes[0]
    with pytest.raises(FaultError, match="cut short"):
        cut.read(0x3FFF, 1)


def test_a_page_that_was_left_out_is_a_fault_that_says_so(opened: Open) -> None:
    memory = opened(kdump({0: page(1), 3: page(3)}, absent=[1, 2], level=31))
    assert [str(run) for run in memory.segments.runs()] == ["[0x0, 0x4000)"]
    assert memory.file_offset(0) is None
    with pytest.raises(FaultError, match=r"0x1000 was left out of the dump.*level 31.*-d 0"):
        memory.read(0x800, PAGE)
    assert memory.read(0x3010, 2) == b"\3\3"
    assert list(memory.extents()) == [AddressRange(0, 0x1000), AddressRange(0x3000, 0x4000)]


def test_shared_pages_of_zeros_are_no_extents(opened: Open) -> None:
    memory = opened(kdump({n: page(n % 3) for n in range(9)}))
    found = [(part.start // PAGE, part.end // PAGE) for part in memory.extents()]
    assert found == [(1, 3), (4, 6), (7, 9)]
    assert memory.read(3 * PAGE, 2) == bytes(2)


def test_a_dump_whose_writer_ran_out_of_space_says_so(opened: Open) -> None:
    assert "ran out of space" in opened(kdump({0: page(1)}, status=8)).facts.notes[0]


def test_a_flattened_dump_without_end_mark_says_so(opened: Open) -> None:
    memory = opened(flattened(kdump({0: page(1)}), end=False))
    assert memory.read(0, 2) == b"\1\1"
    assert "end mark" in memory.facts.notes[0]


def test_a_later_piece_of_a_flattened_dump_replaces_earlier_ones(opened: Open) -> None:
    dump = kdump({0: page(1), 1: page(2)}, "none")
    content = flattened(dump, 6000, end=False)
    content += struct.pack(">qq", len(dump) - 20, 15) + b"B" * 15
    content += struct.pack(">qq", len(dump) - 10, 5) + b"A" * 5 + struct.pack(">qq", -1, -1)
    assert opened(content).read(0x2000 - 22, 22) == b"\2\2" + b"B" * 10 + b"A" * 5 + b"\2" * 5


def test_a_damaged_page_spoils_no_other(opened: Open) -> None:
    content = bytearray(kdump({0: page(1), 1: os.urandom(64) * 64, 2: page(3)}, "zstd"))
    at = bytes(content).rindex(b"\x28\xb5\x2f\xfd")
    content[at + 5 : at + 9] = b"\xff" * 4
    memory = opened(bytes(content))
    assert memory.read(0, 4) == b"\1" * 4
    with pytest.raises(FaultError, match=r"0x2000 cannot be read.*cannot be decompressed"):
        memory.read(PAGE, 2 * PAGE)
    assert list(memory.readable()) == [AddressRange(0, 2 * PAGE)]
    assert memory.left_out() == PAGE


def test_what_a_kdump_was_cut_short_of_is_missing_page_by_page(opened: Open) -> None:
    whole = kdump({n: os.urandom(PAGE) for n in range(4)})
    memory = opened(whole[:-10])
    with pytest.raises(FaultError, match="0x3000 cannot be read: the dump was cut short before it"):
        memory.read(0x2FFF, 2)
    assert memory.left_out() == PAGE
    memory = opened(whole[: -5 * PAGE - 24])
    assert list(memory.extents()) == []
    assert memory.left_out() == 4 * PAGE, "three have no data, one not even a descriptor"


def test_pages_that_were_never_written_are_missing(opened: Open) -> None:
    whole = kdump({n: os.urandom(PAGE) for n in range(4)}, status=8)
    at = 4 * PAGE
    memory = opened(whole[: at + 24] + bytes(2 * 24) + whole[at + 72 :])
    with pytest.raises(FaultError, match=r"0x1000 cannot be read: makedumpfile left it incomplete"):
        memory.read(0x1000, 8)
    assert list(memory.extents()) == [AddressRange(0, 0x1000), AddressRange(0x3000, 0x4000)]
    assert list(memory.readable()) == list(memory.extents())


def test_pages_of_a_flattened_dump_that_is_cut_short_are_missing(opened: Open) -> None:
    whole = flattened(kdump({n: os.urandom(PAGE) for n in range(8)}), PAGE)
    memory = opened(whole[: -2 * PAGE])
    assert memory.read(0, 1)
    with pytest.raises(FaultError, match="was cut short before it"):
        memory.read(7 * PAGE, 1)


def test_one_bitmap_may_serve_as_both(opened: Open) -> None:
    memory = opened(kdump({0: page(1), 40_000: page(2)}, bitmaps=1))
    assert memory.read(40_000 * PAGE, 2) == b"\2\2"
    assert [run.start for run in memory.readable()] == [0, 40_000 * PAGE]


def test_notes_beyond_the_end_are_missed(opened: Open) -> None:
    memory = opened(patched(CORE, 64 + 8, "<Q", (1 << 64) - 1))
    assert memory.read(0x1000, 1) == b"\1"
    assert "not all of its notes" in memory.facts.notes[0]
    assert memory.facts.vcpus == ()


# -- bitmaps ---------------------------------------------------------------------------------


class Bytes:
    """A source of bytes in memory."""

    path = "bytes"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        assert offset + size <= self.size
        return self.data[offset : offset + size]

    def data_ranges(self, start: int, end: int):
        return iter([(start, end)] if start < end else [])

    def check(self) -> None: ...

    def close(self) -> None: ...


@given(st.sets(st.integers(0, 70_000)), st.integers(1, 70_001), st.data())
def test_bitmaps_agree_with_sets(pages: set[int], total: int, data: st.DataObject) -> None:
    ours = PageBitmap(Bytes(b"x" * 3 + bitmap(pages, 9000)), 3, total)
    pages = {number for number in pages if number < total}
    assert ours.total == len(pages)
    start = data.draw(st.integers(0, total))
    end = data.draw(st.integers(start, total))
    assert {n for low, high in ours.runs(start, end) for n in range(low, high)} == {
        n for n in pages if start <= n < end
    }
    assert all(low < high for low, high in ours.runs(start, end))
    assert ours.rank(start) == sum(n < start for n in pages)
    run = ours.present(start, 40_000)
    assert all(start + n in pages for n in range(run))
    assert run == 40_000 or start + run not in pages


# -- files that lie --------------------------------------------------------------------------


def patched(content: bytes, offset: int, form: str, *values: int) -> bytes:
    data = bytearray(content)
    struct.pack_into(form, data, offset, *values)
    return bytes(data)


CORE = elf_core([Load(0x1000, page(1))], NOTES)
DUMP = kdump({0: page(1), 1: page(0), 2: os.urandom(PAGE)}, notes=NOTES)

LIES = {
    "elf: short": (CORE[:40], "within the ELF header"),
    "elf: 32 bits": (elf_core([Load(0, page(1))], bits=1), "no 64-bit"),
    "elf: big-endian": (elf_core([Load(0, page(1))], endian=2), "little-endian"),
    "elf: program": (elf_core([Load(0, page(1))], kind=ET_EXEC), "no core"),
    "elf: process": (elf_core([Load(0, page(1)), Load(0, page(2), vaddr=99)]), "of a process"),
    "elf: nothing": (elf_core([]), "no physical memory"),
    "elf: headers elsewhere": (patched(CORE, 32, "<Q", 1 << 63), "program headers at"),
    "elf: headers of another size": (patched(CORE, 54, "<H", 32), "of 32 bytes"),
    "elf: many headers, no section": (patched(CORE, 56, "<H", 0xFFFF), "no section"),
    "elf: beyond 64 bits": (patched(CORE, 64 + 56 + 24, "<Q", (1 << 64) - 8), "claims 0x1000"),
    "elf: data beyond the end": (patched(CORE, 64 + 56 + 8, "<Q", 1 << 62), "no physical"),
    "lime: backwards": (patched(lime([(0, page(1))]), 8, "<QQ", 9, 3), "back to"),
    "lime: version": (patched(lime([(0, page(1))]), 4, "<I", 7), "version 7"),
    "lime: empty": (lime([(0, page(1))])[:32], "no memory"),
    "kdump: short": (DUMP[:99], "within its headers"),
    "kdump: byte order": (patched(DUMP, 8, ">I", 6), "byte order"),
    "kdump: page size": (patched(DUMP, 428, "<I", 4097), "pages of 4097"),
    "kdump: sub header": (patched(DUMP, 432, "<i", -1), "sub header of -1"),
    "kdump: bitmaps": (patched(DUMP, 436, "<I", 1 << 31), "within its bitmaps"),
    "kdump: too few bits": (patched(DUMP, 436, "<I", 0), "too few"),
    "kdump: exabytes": (patched(DUMP, PAGE + 96, "<Q", 1 << 60), "claims 4294967296 TiB"),
    "kdump: part": (kdump({0: page(1)}, split=1), "makedumpfile --reassemble"),
    "kdump: no memory": (patched(DUMP, 2 * PAGE, "<B", 0), "RAM is nowhere"),
    "flat: version": (patched(flattened(DUMP), 24, ">q", 9), "version 9"),
    "flat: offset": (patched(flattened(DUMP), 4096, ">q", -5), "piece 1"),
    "flat: short": (flattened(DUMP)[:2000], "flattened dump"),
    "flat: nothing": (flattened(DUMP)[:4096], "within its headers"),
}


@pytest.mark.parametrize(("content", "words"), LIES.values(), ids=LIES)
def test_a_lie_is_a_clear_error(opened: Open, content: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        opened(content)
    assert "dump" in caught.value.path


PAGES = 2 * PAGE + 2 * PAGE  # of DUMP: where its descriptors begin

PAGE_LIES = {
    "data beyond the end": (0, "<Q", 1 << 50, "cut short"),
    "no data": (8, "<I", 0, "decompressed|makes 0 bytes"),
    "much data": (8, "<I", 1 << 30, "claims 0x40000000"),
    "not compressed": (12, "<I", 0, "makes"),
    "other method": (12, "<I", 0x20, "decompressed"),
    "snappy": (12, "<I", 4, "decompressed"),
    "lzo": (12, "<I", 2, "decompressed"),
}


@pytest.mark.parametrize("lie", PAGE_LIES.values(), ids=PAGE_LIES)
def test_a_lying_page_descriptor_is_a_clear_error(
    opened: Open, lie: tuple[int, str, int, str]
) -> None:
    offset, form, value, words = lie
    memory = opened(patched(DUMP, PAGES + offset, form, value))
    with pytest.raises(FaultError, match=words):
        memory.read(0, 1)
    assert memory.read(PAGE, 1) == b"\0"


BOMBS = {
    "zlib": (1, __import__("zlib").compress(bytes(64 * MIB))),
    "zstd": (0x20, b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 7 + b"\x7f" + bytes(9)),
    "snappy": (4, b"\xff\xff\xff\xff\x0f" + bytes(9)),
}


@pytest.mark.parametrize(("flag", "data"), BOMBS.values(), ids=BOMBS)
def test_a_page_never_becomes_more_than_a_page(opened: Open, flag: int, data: bytes) -> None:
    content = patched(DUMP, PAGES, "<QII", len(DUMP), min(len(data), 2 * PAGE), flag) + data
    memory = opened(content)
    tracemalloc.start()
    with pytest.raises(FaultError, match=r"decompressed|makes"):
        memory.read(0, 1)
    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()


def test_an_alternating_bitmap_is_refused(opened: Open) -> None:
    pages = 1 << 20
    content = bytearray(kdump({0: page(1), pages - 1: page(2)}))
    content[2 * PAGE : 2 * PAGE + pages // 8] = b"\x55" * (pages // 8)
    with pytest.raises(FormatError, match="in more than 65536 pieces"):
        opened(bytes(content))


def test_a_sparse_file_that_claims_terabytes_is_cheap(tmp_path: Path) -> None:
    """64 TiB of RAM: bitmaps of 4 GiB, all holes but for two pages."""
    path, pages = tmp_path / "huge", 1 << 34
    small = kdump({0: page(7)}, max_mapnr=pages)
    half = pages // 8
    table = 2 * PAGE + 2 * half
    with path.open("wb") as file:
        file.write(patched(small[: 2 * PAGE], 436, "<I", 2 * half // PAGE))
        for start in (2 * PAGE, 2 * PAGE + half):
            file.seek(start)
            file.write(b"\1")
            file.seek(start + half - 1)
            file.write(b"\x80")
        file.seek(table)
        data = table + 2 * 24 + PAGE
        file.write(struct.pack("<QIIQ", data, PAGE, 0, 0) * 2)
        file.seek(data)
        file.write(page(7))
    tracemalloc.start()
    memory = open_image(str(path), "kdump", "huge")
    assert memory.read((pages - 1) * PAGE, 2) == b"\7\7"
    assert list(memory.extents()) == [segment.range for segment in memory.segments]
    assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    tracemalloc.stop()


def test_an_unknown_beginning_is_no_dump(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x53\xff\x00\xf0" * 1024)
    assert sniff(str(path)) is None
    assert sniff(str(tmp_path)) is None
    assert sniff(str(tmp_path / "absent")) is None
    os.mkfifo(tmp_path / "fifo")
    assert sniff(str(tmp_path / "fifo")) is None


def test_a_dump_that_vanishes_is_a_target_error(opened: Open, tmp_path: Path) -> None:
    for content in (CORE, DUMP, flattened(DUMP)):
        memory = opened(content)
        (tmp_path / "dump").unlink()
        with pytest.raises(TargetError, match="does not exist"):
            memory.read(0x1000, 1)


SEEDS = [CORE, elf_core([Load(0, page(1))], many=True), DUMP, flattened(DUMP), lime([(0, page(5))])]
SEEDS.append(kdump({0: page(1), 9: page(2)}, "zstd", absent=[4]))
SEEDS += [flattened(CORE), avml([(0x1000, page(7)), (0x9000, os.urandom(9 * PAGE))])]


@settings(
    max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1)),
        max_size=6,
    ),
    length=st.floats(0, 1) | st.just(1.0),
    address=st.integers(0, 0x6000),
)
@example(seed=CORE, changes=[], length=1.0, address=0x1000)
def test_any_damage_is_memory_or_an_error(
    opened: Open, seed: bytes, changes: list[tuple[float, int, int]], length: float, address: int
) -> None:
    """Headers are hit more often than data, as the cube of a share between 0 and 1 is small."""
    data = bytearray(seed)
    for share, size, value in changes:
        at = int(share**3 * (len(data) - 8))
        data[at : at + size] = value.to_bytes(8, "little")[:size]
    data = bytearray(seed[:16]) + data[16 : max(16, int(length * len(data)))]
    try:
        memory = opened(bytes(data))
        for part in memory.readable():
            assert memory.segments.find(part.start)
        for extent in memory.extents():
            assert memory.segments.find(extent.start)
        assert 0 <= memory.left_out() <= sum(segment.size for segment in memory.segments)
        assert len(memory.read(address, 8)) == 8
    except (FormatError, FaultError, UsageError):
        pass


# -- as a user opens them --------------------------------------------------------------------


def test_from_names_a_dump_as_a_lab_of_one(tmp_path: Path) -> None:
    path = tmp_path / "qemu1.kdump"
    path.write_bytes(DUMP)
    lab = ntbdbg.open(path)
    assert lab.names == ("qemu1",)
    assert lab["qemu1"].read(0, 2) == b"\1\1"
    with pytest.raises(TargetError, match="no guest 'qemu2'"):
        lab["qemu2"]


def test_from_names_a_raw_image(tmp_path: Path) -> None:
    path = tmp_path / "old.ram"
    path.write_bytes(page(1) + page(2))
    assert ntbdbg.open(path)["old"].read(PAGE, 1) == b"\2"


def test_given_a_map_a_file_is_taken_as_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(DUMP)
    assert ntbdbg.open(segments="0:8:0").guest(str(path)).read(0, 8) == b"KDUMP   "


def test_a_dump_cannot_be_patched(tmp_path: Path) -> None:
    path = tmp_path / "x.core"
    path.write_bytes(CORE)
    with pytest.raises(NtbdbgError, match="cannot be patched"):
        ntbdbg.open(path)["x"].patch(0x1000, b"no")
