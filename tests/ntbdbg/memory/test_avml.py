# SPDX-License-Identifier: MIT
"""Compressed AVML dumps, whole and not."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from ntbdbg.errors import FaultError, FormatError, TargetError
from ntbdbg.memory import AddressRange
from ntbdbg.memory.formats import open_image, sniff
from ntbdbg.memory.image import ImageMemory
from tests.ntbdbg.conftest import Run
from tests.support.avmlwriter import avml

PAGE = 4096
CHUNK = 1 << 16
Open = Callable[[bytes], ImageMemory]

LOW = b"A" * PAGE + os.urandom(3 * CHUNK) + b"B" * 100
HIGH = bytes(2 * CHUNK) + b"C" * PAGE
RANGES = [(0x1000, LOW), (0x10_0000, HIGH)]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def make(content: bytes) -> ImageMemory:
        path = tmp_path / "dump"
        path.write_bytes(content)
        assert sniff(str(path)) == "avml"
        return open_image(str(path), "avml", "guest")

    return make


@pytest.mark.parametrize("lengths", [True, False])
def test_ranges_are_read_wherever_chunks_end(opened: Open, lengths: bool) -> None:
    memory = opened(avml(RANGES, lengths=lengths))
    assert memory.facts == ("AVML", None, (), ())
    for start, data in RANGES:
        assert memory.read(start, len(data)) == data
        assert memory.read(start + CHUNK - 9, 20) == data[CHUNK - 9 : CHUNK + 11]
    assert [segment.range for segment in memory.segments] == [
        AddressRange(start, start + len(data)) for start, data in RANGES
    ]
    assert memory.left_out() == 0
    assert list(memory.extents())[-1] == AddressRange(0x12_0000, 0x12_1000), "zeros are none"
    assert memory.file_offset(0x1000) is None


def test_an_empty_range_is_passed_over(opened: Open) -> None:
    memory = opened(avml([(0, LOW), (0x5_0000, b""), (0x10_0000, HIGH)]))
    assert memory.read(0x12_0000, 2) == b"CC"
    assert len(memory.segments) == 2


def test_what_it_was_cut_short_of_is_missing(opened: Open) -> None:
    content = avml([(0x1000, LOW)])
    memory = opened(content[:-200])
    assert memory.read(0x1000, 3 * CHUNK) == LOW[: 3 * CHUNK]
    with pytest.raises(FaultError, match="the dump is cut short or damaged before it") as caught:
        memory.read(0x1000, len(LOW))
    assert caught.value.address == 0x1000 + 3 * CHUNK
    assert memory.left_out() == len(LOW) - 3 * CHUNK
    assert "cut off or damaged" in memory.facts.notes[0]


def test_a_damaged_chunk_spoils_no_other(opened: Open) -> None:
    content = bytearray(avml(RANGES))
    content[2 * CHUNK] ^= 0xFF  # in random bytes, which are stored as they are
    memory = opened(bytes(content))
    assert memory.read(0x1000, 8) == b"A" * 8
    assert memory.read(0x12_0000, 2) == b"CC"
    with pytest.raises(FaultError, match="damaged chunk"):
        memory.read(0x1000, len(LOW))
    assert memory.left_out() == CHUNK


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (avml(RANGES)[:20], "cut short"),
        (avml(RANGES)[:60], "nothing can be read"),
        (avml(RANGES).replace(b"AVML\2", b"AVML\7", 1), "version 7"),
        (avml([(1 << 60, LOW)]), "a range from 0x1000000000000000"),
    ],
)
def test_a_lie_is_a_clear_error(opened: Open, content: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        opened(content)
    assert "avml-convert" in str(caught.value)


def test_a_chunk_never_becomes_more_than_a_chunk(opened: Open) -> None:
    content = bytearray(avml([(0, b"A" * CHUNK)]))
    at = content.index(b"sNaPpY") + 6 + 4 + 4
    content[at : at + 3] = b"\xff\xff\x3f"  # a megabyte, it says
    tracemalloc.start()
    with pytest.raises(FormatError):
        opened(bytes(content))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_without_the_library_it_says_how_to_get_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(TargetError, match=r"library for snappy; pip install 'ntbdbg\[snappy\]'"):
        opened(avml(RANGES))


def test_commands_read_it(ntbdbg: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.lime"
    path.write_bytes(avml(RANGES))
    assert ntbdbg("dump", path, "0x1000", "8").stdout.endswith("AAAAAAAA\n")
    assert ntbdbg("search", path, "str:CCCCCCCC", "--count").returncode == 0
    assert "dump (AVML)" in ntbdbg("--from", path, "info").stdout
