# SPDX-License-Identifier: MIT
"""One body, many memories: whatever the bytes lie in, the contract is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ntbdbg
from ntbdbg.cli.main import main
from ntbdbg.errors import FaultError, UsageError
from ntbdbg.lab.manifest import SegmentRecord
from ntbdbg.memory import AddressRange, BufferMemory, PhysicalMemory, RamFile, Segment
from ntbdbg.memory.segments import VGA_HOLE
from tests.support.avmlwriter import avml
from tests.support.elfwriter import Load, elf_core, lime
from tests.support.fakelab import FakeLab
from tests.support.kdumpwriter import flattened, kdump

MIB = 1 << 20
PAGE = 4096
SIZE = 2 * MIB
GIB4 = 1 << 32

#: the layout of all memories below: the VGA hole, and a last MiB that continues at 4 GiB
SEGMENTS = [
    Segment(0, 0xA0000, 0),
    Segment(0xC0000, MIB - 0xC0000, 0xC0000),
    Segment(GIB4, MIB, MIB),
]
CONTENT = bytes(range(256)) * (SIZE // 256)


def _buffer(folder: Path) -> PhysicalMemory:
    return BufferMemory(bytearray(CONTENT), SEGMENTS)


def _file(folder: Path) -> Path:
    path = folder / "ram"
    path.write_bytes(CONTENT)
    return path


def _ram_file(folder: Path) -> PhysicalMemory:
    return RamFile(str(_file(folder)), SEGMENTS)


def _bare(folder: Path) -> PhysicalMemory:
    lab = ntbdbg.open(segments="0:0xa0000:0,0xc0000:0x40000:0xc0000,4G:1M:1M")
    return lab.guest(str(_file(folder))).memory


def _dead_lab(folder: Path) -> FakeLab:
    fake = FakeLab(folder / "lab", guests=["qemu1"], ram=SIZE, live=False)
    ram = fake.manifest.guest("qemu1").ram
    segments = tuple(SegmentRecord(*segment) for segment in SEGMENTS)
    fake.edit("qemu1", ram=dataclasses.replace(ram, segments=segments))
    Path(ram.path).write_bytes(CONTENT)
    return fake


def _lab(folder: Path) -> PhysicalMemory:
    return ntbdbg.open(_dead_lab(folder).path)["qemu1"].memory


def _captured(folder: Path, *words: str) -> PhysicalMemory:
    """Of that lab, by the command."""
    path = str(folder / "x.cap")
    assert main(["--from", str(_dead_lab(folder).path), "capture", path, *words]) == 0
    return ntbdbg.open(path)["qemu1"].memory


def _capture(folder: Path) -> PhysicalMemory:
    return _captured(folder)


def _packed_capture(folder: Path) -> PhysicalMemory:
    return _captured(folder, "--pack")


def _image(folder: Path, content: bytes) -> PhysicalMemory:
    """A dump, opened as a user does: by its path."""
    path = folder / "dump"
    path.write_bytes(content)
    return ntbdbg.open().guest(str(path)).memory


def _parts() -> Iterator[tuple[int, bytes]]:
    return ((s.start, CONTENT[s.offset : s.offset + s.size]) for s in SEGMENTS)


def _pages() -> dict[int, bytes]:
    return {
        (start + at) // PAGE: data[at : at + PAGE]
        for start, data in _parts()
        for at in range(0, len(data), PAGE)
    }


def _elf(folder: Path) -> PhysicalMemory:
    return _image(folder, elf_core([Load(*part) for part in _parts()]))


def _elf_many(folder: Path) -> PhysicalMemory:
    """Every page has a program header of its own, in disorder, and one overlaps."""
    loads = [Load(page * PAGE, data) for page, data in reversed(_pages().items())]
    return _image(folder, elf_core([*loads, Load(0x3000, content(0x3000, 0x1800))], many=True))


def _elf_flat(folder: Path) -> PhysicalMemory:
    return _image(folder, flattened(elf_core([Load(*part) for part in _parts()]), 5000))


def _avml(folder: Path) -> PhysicalMemory:
    return _image(folder, avml(list(_parts())))


def _lime(folder: Path) -> PhysicalMemory:
    return _image(folder, lime(list(_parts())))


def _kdump_zlib(folder: Path) -> PhysicalMemory:
    return _image(folder, kdump(_pages(), "zlib"))


def _kdump_zstd(folder: Path) -> PhysicalMemory:
    return _image(folder, kdump(_pages(), "zstd", version=5))


def _kdump_snappy(folder: Path) -> PhysicalMemory:
    return _image(folder, kdump(_pages(), "snappy"))


def _kdump_lzo(folder: Path) -> PhysicalMemory:
    return _image(folder, kdump(_pages(), "lzo"))


def _kdump_flat(folder: Path) -> PhysicalMemory:
    return _image(folder, flattened(kdump(_pages(), "none"), 5000))


LIVE = [_buffer, _ram_file, _bare, _lab]
DUMPS = [
    _elf,
    _elf_many,
    _elf_flat,
    _lime,
    _avml,
    _kdump_zlib,
    _kdump_zstd,
    _kdump_snappy,
    _kdump_lzo,
    _kdump_flat,
]
CAPTURES = [_capture, _packed_capture]


def _made(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PhysicalMemory:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    make: Callable[[Path], PhysicalMemory] = request.param
    return make(tmp_path)


@pytest.fixture(params=[*LIVE, *DUMPS, *CAPTURES], ids=lambda make: make.__name__[1:])
def memory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PhysicalMemory:
    return _made(request, tmp_path, monkeypatch)


@pytest.fixture(params=LIVE, ids=lambda make: make.__name__[1:])
def writable(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PhysicalMemory:
    return _made(request, tmp_path, monkeypatch)


@pytest.fixture(params=CAPTURES, ids=lambda make: make.__name__[1:])
def capture(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PhysicalMemory:
    return _made(request, tmp_path, monkeypatch)


@pytest.fixture(params=DUMPS, ids=lambda make: make.__name__[1:])
def dump(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PhysicalMemory:
    return _made(request, tmp_path, monkeypatch)


def content(address: int, size: int) -> bytes:
    """What the contract promises at an address of RAM."""
    offset = address - GIB4 + MIB if address >= GIB4 else address
    return CONTENT[offset : offset + size]


ADDRESSES = [0, 1, 0x9FFFF, 0xC0000, MIB - 1, GIB4, GIB4 + MIB - 1]


@pytest.mark.parametrize("address", ADDRESSES)
def test_reads_what_lies_there(memory: PhysicalMemory, address: int) -> None:
    assert memory.read(address, 1) == content(address, 1)


def test_reads_up_to_the_last_byte(memory: PhysicalMemory) -> None:
    assert memory.read(GIB4, MIB) == content(GIB4, MIB)


def test_words_are_little_endian(memory: PhysicalMemory) -> None:
    assert memory.word(0x80) == 0x8786858483828180
    assert memory.word(GIB4 + 0x80, 2) == 0x8180
    assert memory.word(0xFE, 2, signed=True) == -2


def test_reads_nothing(memory: PhysicalMemory) -> None:
    assert memory.read(0x1000, 0) == b""


@pytest.mark.parametrize(
    ("address", "size", "fault", "reason"),
    [
        (0xA0000, 1, 0xA0000, "is in the VGA hole [0xa0000, 0xc0000)"),
        (0x9FFF0, 0x20, 0xA0000, "is in the VGA hole [0xa0000, 0xc0000)"),
        (MIB, 1, MIB, "is in the PCI hole [0x100000, 0x100000000)"),
        (0, 1 << 40, 0xA0000, "is in the VGA hole [0xa0000, 0xc0000)"),
        (GIB4 + MIB, 4, GIB4 + MIB, "is beyond the end of RAM at 0x100100000"),
        ((1 << 64) - 1, 1, (1 << 64) - 1, "is beyond the end of RAM at 0x100100000"),
        (0xA0000, 0, 0xA0000, "is in the VGA hole [0xa0000, 0xc0000)"),
    ],
)
@pytest.mark.parametrize("how", ["read", "view", "write", "readinto"])
def test_a_fault_names_the_first_byte_that_is_not_ram(
    memory: PhysicalMemory, how: str, address: int, size: int, fault: int, reason: str
) -> None:
    if how in ("write", "readinto"):
        size = min(size, MIB)  # a buffer of that size is really made
    uses = {
        "write": lambda: memory.write(address, bytes(size)),
        "readinto": lambda: memory.readinto(address, memoryview(bytearray(size))),
        "read": lambda: memory.read(address, size),
        "view": lambda: memory.view(address, size),
    }
    with pytest.raises(FaultError) as caught:
        uses[how]()
    assert caught.value.address == fault
    assert caught.value.reason == reason
    assert caught.value.message == f"{memory.name}: {fault:#x} {reason}"
    assert caught.value.hint


@pytest.mark.parametrize(("address", "size"), [(-1, 4), (1 << 64, 1), ((1 << 64) - 4, 8), (0, -1)])
def test_what_is_no_address_is_a_usage_error(
    memory: PhysicalMemory, address: int, size: int
) -> None:
    with pytest.raises(UsageError):
        memory.read(address, size)


def test_writes_and_reads_back(writable: PhysicalMemory) -> None:
    memory = writable
    memory.write(GIB4 + 5, b"hello")
    assert memory.read(GIB4 + 4, 7) == content(GIB4 + 4, 1) + b"hello" + content(GIB4 + 10, 1)


def test_a_write_into_a_hole_stores_nothing(memory: PhysicalMemory) -> None:
    with pytest.raises(FaultError):
        memory.write(0x9FFF0, bytes(0x20))
    assert memory.read(0x9FFF0, 0x10) == content(0x9FFF0, 0x10)


def test_readinto_fills_the_buffer(memory: PhysicalMemory) -> None:
    buffer = bytearray(0x100)
    memory.readinto(0xC0010, memoryview(buffer))
    assert buffer == content(0xC0010, 0x100)


def test_a_dump_is_not_written(dump: PhysicalMemory) -> None:
    with pytest.raises(UsageError, match="dumps are not changed"):
        dump.write(0x1000, b"x")
    assert not dump.is_live
    assert dump.read(0x1000, 1) == content(0x1000, 1)


def test_a_capture_is_never_changed(capture: PhysicalMemory) -> None:
    with pytest.raises(UsageError, match="qemu1: a capture is never changed; patch a running lab"):
        capture.write(GIB4, b"hello")
    assert capture.read(GIB4, 5) == content(GIB4, 5)
    assert not capture.is_live


def test_a_view_shows_a_range_and_cannot_be_written_to(memory: PhysicalMemory) -> None:
    view = memory.view(GIB4 + 0x1010, 0xFF0)
    assert view == content(GIB4 + 0x1010, 0xFF0)
    assert view.readonly


def test_a_view_follows_the_memory(writable: PhysicalMemory) -> None:
    memory = writable
    view = memory.view(0x1000, 4)
    assert bytes(view) == content(0x1000, 4)
    memory.write(0x1000, b"XY")
    assert bytes(view[:2]) == b"XY"


def test_extents_lie_in_ram_and_in_the_range_asked_for(memory: PhysicalMemory) -> None:
    within = AddressRange(0x90000, GIB4 + 0x1000)
    found = list(memory.extents(within))
    assert found[0].start == 0x90000
    assert found[-1].end == GIB4 + 0x1000
    assert all(part.overlap(VGA_HOLE) is None for part in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(address=st.integers(0, GIB4 + 2 * MIB), size=st.integers(0, 3 * MIB))
def test_any_range_is_content_or_a_fault(memory: PhysicalMemory, address: int, size: int) -> None:
    inside = any(
        s.start <= address and address + size <= s.end and address < s.end for s in SEGMENTS
    )
    if inside:
        assert memory.read(address, size) == content(address, size)
    else:
        with pytest.raises(FaultError):
            memory.read(address, size)


def test_adjoining_segments_read_as_one() -> None:
    memory = BufferMemory(b"efghabcd", [Segment(4, 4, 0), Segment(0, 4, 4)])
    assert memory.read(0, 8) == b"abcdefgh"
    assert [str(run) for run in memory.segments.runs()] == ["[0x0, 0x8)"]
    with pytest.raises(UsageError, match="cross the segment border"):
        memory.view(2, 4)


def test_a_buffer_that_cannot_be_written_says_so() -> None:
    with pytest.raises(UsageError, match="read-only"):
        BufferMemory(b"abc").write(0, b"x")


def test_segments_must_lie_in_the_backing() -> None:
    with pytest.raises(UsageError, match="needs 0x9 bytes, there are 0x8"):
        BufferMemory(bytes(8), [Segment(0, 8, 1)])
