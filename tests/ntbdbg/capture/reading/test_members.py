# SPDX-License-Identifier: MIT
"""Packed captures with flipped bytes: what is whole reads, and nothing wrong is given as right."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ntbdbg
from ntbdbg.capture.reading.members import SECTOR, find_members
from ntbdbg.capture.reading.packing import pack
from ntbdbg.capture.reading.store import PackedStore
from ntbdbg.capture.reading.verify import examine
from ntbdbg.cli.main import main
from ntbdbg.errors import FormatError, NtbdbgError
from ntbdbg.memory.seekable import SeekableFile
from tests.support.linkedlab import LinkedLab

MIB = 1 << 20
ANY = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100
)


class Original(NamedTuple):
    """A packed capture, what is in it, and which of its bytes hold what."""

    raw: bytes
    files: dict[str, bytes]
    places: list[tuple[str, int, int, tuple[int, int]]]
    """File, start, end, and which bytes of the capture hold that part."""

    headers: dict[str, tuple[int, int]]
    """By file, the bytes of the capture that hold its header."""

    @property
    def tables(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the copy of the index is, and the index."""
        end = len(self.raw)
        start = end - 17 - 8 * int.from_bytes(self.raw[-9:-5], "little")
        return (2 * start - end + 8, start), (start, end)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    folder = tmp_path_factory.mktemp("original")
    rng = random.Random(5)
    with LinkedLab(folder / "run") as lab, pytest.MonkeyPatch.context() as patch:
        lab.monkeypatch(patch)
        for guest in ("qemu1", "qemu2"):
            for block in (0, 3, 4, 11, 15):
                lab.poke(guest, block * MIB + 4096, rng.randbytes(200))
        assert main(["capture", str(folder / "plain.cap")]) == 0
    plain = folder / "plain.cap"
    (plain / "checksums.json").unlink()
    (plain / "qemu1.console").write_bytes(_fake_header())
    (plain / "qemu2.log").write_bytes(b"x" * 700)
    names = sorted(os.listdir(plain), key=lambda name: (name != "run.json", "ram" in name, name))
    packed = folder / "packed.cap"
    fd = os.open(packed, os.O_RDWR | os.O_CREAT)
    pack([(name, str(plain / name)) for name in names], fd)
    os.close(fd)
    return _original(packed, {name: (plain / name).read_bytes() for name in names})


def _fake_header() -> bytes:
    """What a guest may print: a tar header that would make something else its peer's RAM."""
    import tarfile

    info = tarfile.TarInfo("qemu2.ram")
    info.size = SECTOR
    return info.tobuf(tarfile.GNU_FORMAT)


def _original(path: Path, files: dict[str, bytes]) -> Original:
    packed = SeekableFile(str(path), "capture")
    found = find_members(packed)
    assert found.problem is None
    places, headers = [], {}
    for member in found.files:
        headers.setdefault(member.name, packed[packed.index_at(member.header)].packed)
        for index, low, high in packed.pieces(member.offset, member.size):
            start = packed[index].content[0] + low - member.offset
            places.append((member.name, start, start + high - low, packed[index].packed))
    return Original(path.read_bytes(), files, places, headers)


@pytest.fixture
def damaged(original: Original, tmp_path: Path) -> Callable[..., Path]:
    def make(*spots: tuple[int, int]) -> Path:
        raw = bytearray(original.raw)
        for start, size in spots:
            for at in range(start, min(start + size, len(raw))):
                raw[at] ^= 0x55
        path = tmp_path / "harmed.cap"
        path.write_bytes(raw)
        return path

    return make


def wrong(original: Original, path: Path) -> Iterator[tuple[str, int, int, tuple[int, int]]]:
    """Parts that cannot be read; fails on one that reads as something else."""
    try:
        store = PackedStore(str(path))
    except FormatError:
        yield from original.places
        return
    for place in original.places:
        name, start, end, _ = place
        if name not in original.files:
            continue
        try:
            data = store.read(name, start, end - start)
        except NtbdbgError as error:
            assert error.hint
            yield place
        else:
            assert data == original.files[name][start:end], (name, start)
    store.close()


def touched(place: tuple[int, int], spots: list[tuple[int, int]]) -> bool:
    return any(start < place[1] and start + size > place[0] for start, size in spots)


def test_the_original_is_whole(original: Original, damaged: Callable[..., Path]) -> None:
    path = damaged()
    assert list(wrong(original, path)) == []
    assert list(examine(str(path))) == []
    assert set(original.headers) == {*original.files, "checksums.json"}


@pytest.mark.parametrize(
    "lost", ["run.json", "page.bin", "qemu1.console", "qemu1.ram", "qemu2.ram"]
)
def test_behind_a_damaged_header_all_reads(
    original: Original, damaged: Callable[..., Path], lost: str
) -> None:
    path = damaged((original.headers[lost][0] + 9, 3))
    assert list(wrong(original, path)) == []
    reason = next(iter(examine(str(path)))).damage.reason
    assert reason == f"the header of {lost} is damaged; found by checksums.json"
    with ntbdbg.open(path) as lab:
        assert lab["qemu2"].read(15 * MIB, 8192) == original.files["qemu2.ram"][15 * MIB :][:8192]
        assert any(f"the header of {lost} is damaged" in note for note in lab.notes)


def test_all_headers_damaged_at_once(original: Original, damaged: Callable[..., Path]) -> None:
    path = damaged(*((place[0] + 8, 2) for place in original.headers.values()))
    assert list(wrong(original, path)) == []


def test_without_checksums_the_next_header_is_found(
    original: Original, damaged: Callable[..., Path]
) -> None:
    """And what a guest printed is not taken for one."""
    (sums,) = [place for name, _, _, place in original.places if name == "checksums.json"]
    spots = [(original.headers["qemu1.console"][0] + 8, 2), (sums[0] + 20, 5)]
    path = damaged(*spots)
    assert {name for name, *_ in wrong(original, path)} == {"qemu1.console"}
    reasons = [found.damage.reason for found in examine(str(path))]
    assert reasons[0].startswith("headers are damaged: of its content 0x")


def test_either_copy_of_run_json_is_enough(
    original: Original, damaged: Callable[..., Path]
) -> None:
    copies = [place for name, _, _, place in original.places if name == "run.json"]
    assert len(copies) == 2
    for place in copies:
        path = damaged((place[0] + 30, 4))
        assert list(wrong(original, path)) == []
        (found,) = examine(str(path))
        assert found.damage.file == "run.json"
        assert "one of its copies: damaged frame" in found.damage.reason
        ntbdbg.open(path).close()


def test_the_first_bytes_are_no_more_than_others(
    original: Original, damaged: Callable[..., Path]
) -> None:
    path = damaged((0, 4))
    assert list(wrong(original, path)) == []
    with ntbdbg.open(path) as lab:
        assert lab.names == ("qemu1", "qemu2")


@pytest.mark.parametrize("table", [0, 1])
def test_either_index_is_enough(
    original: Original, damaged: Callable[..., Path], table: int
) -> None:
    """Also where a frame is damaged, and so cannot be gone through."""
    (place,) = [p for n, s, _, p in original.places if n == "qemu1.ram" and s == 3 * MIB]
    start, end = original.tables[table]
    for at in (start, start + 4, start + 8, end - 9, end - 1):
        path = damaged((at, 1), (place[0], 1))
        unread = [(name, start) for name, start, *_ in wrong(original, path)]
        assert unread == [("qemu1.ram", 3 * MIB)]
        reasons = [found.damage.reason for found in examine(str(path))]
        which = ("the copy of its index is damaged", "its index is damaged, a copy of it is used")
        assert reasons[0] == which[table]
        assert len(reasons) == 2


@ANY
@given(data=st.data())
def test_one_damaged_stretch_anywhere(
    original: Original, damaged: Callable[..., Path], data: st.DataObject
) -> None:
    """All else reads; and verify tells of any damage."""
    spots = [_spot(original, data)]
    path = damaged(*spots)
    unread = list(wrong(original, path))
    copies = [place for place in original.places if place[0] == "run.json"]
    for place in unread:
        both = place[0] == "run.json" and all(touched(copy[3], spots) for copy in copies)
        assert touched(place[3], spots) or both, place
    with contextlib.suppress(NtbdbgError):  # nothing of it is left
        assert list(examine(str(path)))


@ANY
@given(data=st.data())
def test_much_damage(original: Original, damaged: Callable[..., Path], data: st.DataObject) -> None:
    """Whatever reads is right; and while an index is whole, all that was not touched reads."""
    spots = [_spot(original, data) for _ in range(data.draw(st.integers(2, 5)))]
    path = damaged(*spots)
    unread = list(wrong(original, path))
    whole = not all(touched(table, spots) for table in original.tables)
    lists = [place for name, _, _, place in original.places if name == "checksums.json"]
    if whole and not any(touched(place, spots) for place in lists):
        assert all(touched(place[3], spots) or place[0] == "run.json" for place in unread), unread
    _all_of_it(path)


def _all_of_it(path: Path) -> None:
    try:
        list(examine(str(path)))
        with ntbdbg.open(path) as lab:
            for name in lab.names:
                lab.guest(name).read(0, 16)
    except NtbdbgError as error:
        assert error.hint


def _spot(original: Original, data: st.DataObject) -> tuple[int, int]:
    """Bytes to damage: anywhere, or where much depends on them."""
    starts = [place[0] for place in original.headers.values()]
    starts += [place[0] for *_, place in original.places]
    near = st.builds(int.__add__, st.sampled_from(starts), st.integers(0, 60))
    index = st.integers(original.tables[0][0] - 40, len(original.raw) - 1)
    at = data.draw(st.integers(0, len(original.raw) - 1) | near | index)
    return at, data.draw(st.integers(1, 4) | st.integers(1, 3000))
