# SPDX-License-Identifier: MIT
"""zstd files with an index: random access, what a cut leaves, and claims that are lies."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FormatError, NtbdbgError, TargetError
from ntbdbg.memory.seekable import SeekableFile
from ntbdbg.memory.zstdframes import MAX_FRAME, seek_table

ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
TABLE_END = 9


def frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data)


def file_of(parts: Iterable[bytes]) -> bytes:
    parts = list(parts)
    frames = [frame(part) for part in parts]
    sizes = [(len(f), len(p)) for f, p in zip(frames, parts, strict=True)]
    return b"".join(frames) + seek_table(sizes)


def parts_of(seed: int, count: int = 6) -> list[bytes]:
    rng = random.Random(seed)
    kinds = [lambda n: rng.randbytes(n), lambda n: bytes(n), lambda n: b"text " * (n // 5)]
    return [rng.choice(kinds)(rng.randrange(5, 100_000)) for _ in range(count)]


def opened(folder: Path, data: bytes) -> SeekableFile:
    path = folder / "x.cap"
    path.write_bytes(data)
    return SeekableFile(str(path), "capture")


PARTS = parts_of(1)
CONTENT = b"".join(PARTS)
FILE = file_of(PARTS)


@ANY_FILE
@given(st.integers(0, len(CONTENT)), st.integers(0, len(CONTENT)))
def test_any_part_can_be_read(tmp_path: Path, start: int, end: int) -> None:
    start, end = sorted((start, end))
    file = opened(tmp_path, FILE)
    assert file.rebuilt is None
    assert file.size == len(CONTENT)
    assert file.read(start, end - start) == CONTENT[start:end]


def test_zstd_unpacks_it_as_a_whole(tmp_path: Path) -> None:
    opened(tmp_path, FILE)
    done = subprocess.run(
        ["zstd", "-dc"], stdin=(tmp_path / "x.cap").open("rb"), capture_output=True, check=True
    )
    assert done.stdout == CONTENT


@ANY_FILE
@given(st.integers(4, len(FILE) - 1))
def test_of_what_was_cut_off_all_whole_frames_are_there(tmp_path: Path, size: int) -> None:
    ends, at, whole = [], 0, 0
    for part in PARTS:
        at += len(frame(part))
        ends.append((at, len(part)))
    whole = sum(length for end, length in ends if end <= size)
    file = opened(tmp_path, FILE[:size])
    assert file.rebuilt
    assert file.size == whole
    assert file.read(0, whole) == CONTENT[:whole]
    with pytest.raises(FormatError, match="ends at"):
        file.read(whole, 1)


@ANY_FILE
@given(st.integers(0, len(PARTS) - 1), st.data())
def test_a_damaged_frame_is_found_and_harms_no_other(
    tmp_path: Path, index: int, data: st.DataObject
) -> None:
    (start, end), (low, high) = opened(tmp_path, FILE)[index]
    at = data.draw(st.integers(start, end - 1))
    harmed = bytearray(FILE)
    harmed[at] ^= data.draw(st.integers(1, 255))
    try:
        file = opened(tmp_path, bytes(harmed))
    except FormatError as error:
        assert at < 4, "only its first bytes tell a file's kind"
        assert "is no zstd file" in str(error)
        return
    try:
        # Some bits of a header mean nothing: then all is as it was.
        assert file.read(low, high - low) == CONTENT[low:high]
    except FormatError as error:
        assert error.offset == start
        assert "damaged frame" in error.message
    assert file.read(0, low) == CONTENT[:low]
    assert file.read(high, len(CONTENT) - high) == CONTENT[high:]


@ANY_FILE
@given(st.integers(sum(len(frame(p)) for p in PARTS), len(FILE) - 1), st.integers(1, 255))
def test_an_index_with_a_wrong_byte_is_not_believed_blindly(
    tmp_path: Path, at: int, flip: int
) -> None:
    """It is either seen to be wrong, or frames do not fit it: never another frame's bytes."""
    harmed = bytearray(FILE)
    harmed[at] ^= flip
    file = opened(tmp_path, bytes(harmed))
    for index in range(len(file)):
        low, high = file[index].content
        try:
            assert file.read(low, high - low) in [*PARTS, b""]
        except FormatError:
            assert file.rebuilt is None


def test_it_reads_the_index_with_checksums_too(tmp_path: Path) -> None:
    """zstd's own tools write one more word for each frame."""
    frames = [frame(part) for part in PARTS]
    entries = b"".join(
        struct.pack("<III", len(f), len(p), 7) for f, p in zip(frames, PARTS, strict=True)
    )
    table = entries + struct.pack("<IBI", len(frames), 0x80, 0x8F92EAB1)
    data = b"".join(frames) + struct.pack("<II", 0x184D2A5E, len(table)) + table
    file = opened(tmp_path, data)
    assert file.rebuilt is None
    assert file.read(0, file.size) == CONTENT


LIES = {
    "a frame larger than any": [(len(frame(b"x")), MAX_FRAME + 1)],
    "more than the file has": [(1 << 30, 1)],
    "less than the file has": [(1, 1)],
    "nothing": [],
    "frames of nothing": [(0, 0)] * 3,
}


@pytest.mark.parametrize("sizes", LIES.values(), ids=LIES)
def test_an_index_that_lies_is_not_used(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    file = opened(tmp_path, frame(b"x") + seek_table(sizes))
    assert file.rebuilt
    assert file.read(0, 1) == b"x"


def test_an_index_that_claims_4_billion_frames(tmp_path: Path) -> None:
    table = struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1)
    data = frame(b"x") + struct.pack("<II", 0x184D2A5E, len(table)) + table
    assert opened(tmp_path, data).rebuilt


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """One frame of 64 MiB in 2 KiB: beyond what a frame may hold, whoever claims it."""
    bomb = frame(bytes(64 << 20))
    assert opened(tmp_path, bomb + seek_table([(len(bomb), 64 << 20)])).size == 0
    file = opened(tmp_path, bomb + seek_table([(len(bomb), 100)]))
    with pytest.raises(FormatError, match="its header does not fit the index"):
        file.read(0, 1)


def test_a_frame_that_holds_more_than_it_claims(tmp_path: Path) -> None:
    honest = bytearray(frame(bytes(1000)))
    honest[5:7] = (100 - 256 & 0xFFFF).to_bytes(2, "little")
    assert honest[4] & 0xC0 == 0x40, "a content size of two bytes"
    honest[5:7] = (300 - 256).to_bytes(2, "little")
    file = opened(tmp_path, bytes(honest) + seek_table([(len(honest), 300)]))
    with pytest.raises(FormatError, match="damaged frame"):
        file.read(0, 300)


@ANY_FILE
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_file_or_an_error(tmp_path: Path, data: bytes, head: bool) -> None:
    try:
        file = opened(tmp_path, b"\x28\xb5\x2f\xfd" * head + data)
        file.read(0, min(file.size, 1 << 20))
    except NtbdbgError as error:
        assert error.hint


def test_a_file_that_is_replaced_or_shrinks(tmp_path: Path) -> None:
    file = opened(tmp_path, FILE)
    path = tmp_path / "x.cap"
    (tmp_path / "y").write_bytes(FILE)
    (tmp_path / "y").rename(path)
    with pytest.raises(TargetError, match="was replaced"):
        file.read(0, 1)
    file = opened(tmp_path, FILE)
    path.write_bytes(FILE[:10])
    with pytest.raises(TargetError, match="shrank"):
        file.read(0, 1)
