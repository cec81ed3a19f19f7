# SPDX-License-Identifier: MIT
"""Search against the plain truth: bytes.find and re over a copy of the memory."""

from __future__ import annotations

import os
import random
import re
import signal
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, TargetError, UsageError
from ntbdbg.inspect import scan, search, workers
from ntbdbg.inspect.search import Match, parse_range
from ntbdbg.inspect.value import Pattern, literal, parse_pattern
from ntbdbg.memory import AddressRange, BufferMemory, RamFile, Segment
from tests.support.hugeelf import open_huge

MIB = 1 << 20


def addresses(memory: object, pattern: Pattern | bytes, **options: object) -> list[int]:
    if isinstance(pattern, bytes):
        pattern = literal(pattern)
    return [m.address for m in search.search(memory, pattern, **options)]  # type: ignore[arg-type]


def every(data: bytes, needle: bytes) -> list[int]:
    """All occurrences, overlapping ones too."""
    return [at for at in range(len(data)) if data.startswith(needle, at)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders between chunks everywhere."""
    monkeypatch.setattr(search, "CHUNK", 64)
    monkeypatch.setattr(search, "REGEX_CHUNK", 64)


few = st.binary(max_size=400).map(lambda data: bytes(byte & 3 for byte in data))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=few, needle=few.filter(bool).map(lambda n: n[:9]), align=st.integers(1, 9))
def test_literals_are_found_wherever_they_are(data: bytes, needle: bytes, align: int) -> None:
    memory = BufferMemory(data)
    expected = [at for at in every(data, needle) if at % align == 0]
    assert addresses(memory, needle, align=align) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=few, needle=few.filter(bool).map(lambda n: n[:9]), start=st.integers(0, 30))
def test_all_scanners_agree(data: bytes, needle: bytes, start: int) -> None:
    expected = [at for at in every(data, needle) if at >= start]
    scanners: list[scan.Scanner] = [scan.FindScanner(needle), scan.MemmemScanner(needle)]
    scanners += [scan.AnchorScanner(needle, at) for at in range(len(needle))]
    size = len(needle)
    inside = [at for at in expected if at + size <= len(data) // 2]
    for scanner in scanners:
        places: list[bytearray | memoryview] = [bytearray(data)]
        places += [memoryview(data)] * scanner.in_place
        for place in places:
            assert list(scanner.scan(place, start, len(data))) == expected
            assert list(scanner.scan(place, start, len(data) // 2)) == inside


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=few,
    regex=st.sampled_from(
        [
            b"\x01+",
            b"\x01\x02?\x03",
            b"(?<=\x02)\x01",
            b"[\x01\x02]{3}",
            b"\x03.\x03",
            b"\x02(?!\x02)",
        ]
    ),
)
def test_expressions_match_as_re_does(data: bytes, regex: bytes) -> None:
    pattern = Pattern("re:", None, re.compile(regex, re.DOTALL))
    expected = [(m.start(), m[0]) for m in re.finditer(regex, data, re.DOTALL)]
    assert [tuple(m) for m in search.search(BufferMemory(data), pattern)] == expected


def test_adjoining_segments_count_as_one_holes_part() -> None:
    data = b"....needleneed...lene"
    memory = BufferMemory(
        data,
        [Segment(100, 7, 0), Segment(107, 7, 7), Segment(200, 4, 17), Segment(204, 2, 0)],
    )
    assert addresses(memory, b"needle") == [104]
    assert addresses(memory, parse_pattern("re:needle")) == [104]
    split = BufferMemory(b"need" + b"le", [Segment(0, 4, 0), Segment(8, 2, 4)])
    assert addresses(split, b"needle") == []
    assert addresses(split, parse_pattern("re:need.*le")) == []
    turned = BufferMemory(b"le" + b"need", [Segment(4, 2, 0), Segment(0, 4, 2)])
    assert addresses(turned, b"needle") == [0]


def test_ranges_limit_what_is_seen_not_only_what_is_reported() -> None:
    memory = BufferMemory(b"abcabcabc")
    assert addresses(memory, b"abc", within=AddressRange(1, 8)) == [3]
    assert addresses(memory, parse_pattern("re:abc"), within=AddressRange(0, 5)) == [0]
    assert addresses(memory, b"abc", limit=2) == [0, 3]


def test_a_range_without_ram_is_a_fault() -> None:
    memory = BufferMemory(bytes(16), [Segment(0, 8, 0), Segment(64, 8, 8)], name="qemu1")
    assert addresses(memory, b"\1", within=AddressRange(4, 70)) == []
    with pytest.raises(FaultError, match=r"qemu1: 0x10 is in a hole \[0x8, 0x40\)"):
        addresses(memory, b"x", within=AddressRange(0x10, 0x20))


@pytest.mark.parametrize("options", [{"align": 0}, {"align": -1}, {"limit": 0}])
def test_senseless_options(options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        addresses(BufferMemory(bytes(4)), b"x", **options)


@pytest.fixture
def sparse(tmp_path: Path) -> RamFile:
    """8 MiB, of which two pages are there: at 1 MiB ("\\1" first) and at 4 MiB ("\\2" last)."""
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(MIB)
        file.write(b"\1" + bytes(4095))
        file.seek(4 * MIB)
        file.write(bytes(4095) + b"\2")
    return RamFile(str(path), [Segment(0, 8 * MIB, 0)])


def test_matches_that_begin_or_end_in_untouched_pages(sparse: RamFile) -> None:
    before = sparse.allocated()
    assert addresses(sparse, b"\0\0\1") == [MIB - 2]
    assert addresses(sparse, b"\2\0\0") == [4 * MIB + 4095]
    assert addresses(sparse, parse_pattern("re:\\x00\\x00\\x01")) == [MIB - 2]
    assert addresses(sparse, parse_pattern("re:\\x02\\x00{3000}")) == [4 * MIB + 4095]
    assert sparse.allocated() == before


def test_zeros_are_found_in_untouched_pages(sparse: RamFile) -> None:
    pages = addresses(sparse, bytes(4096), align=4096)
    assert len(pages) == 2048 - 2
    assert MIB not in pages
    assert 4 * MIB not in pages
    assert 0 in pages


def test_an_expression_sees_at_most_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"a" + b"-" * 5000 + b"z" + b"a--z"
    memory = BufferMemory(data)
    found = list(search.search(memory, parse_pattern("re:a-*z")))
    assert found == [Match(5002, b"a--z")]
    long = list(search.search(memory, parse_pattern("re:a-+")))
    assert [(m.address, len(m.data)) for m in long] == [(0, 4096), (5002, 3)]


def test_the_choice_of_scanner_does_not_change_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "SMALL", 0)
    monkeypatch.setattr(search, "CHUNK", MIB)
    data = (bytes(1000) + b"ab\0\0\1xy" + b"\1" * 300) * 2000
    memory = BufferMemory(data)
    for needle in (b"\0\0\1", b"ab\0", b"\1\1\1\1x", b"zz", b"\1x", bytes(900)):
        expected = []
        at = data.find(needle)
        while at >= 0:
            expected.append(at)
            at = data.find(needle, at + 1)
        assert addresses(memory, needle) == expected
        for sign in (1, -1):
            monkeypatch.setattr(
                scan, "_seconds", lambda s, _, k=sign: k * isinstance(s, scan.AnchorScanner)
            )
            assert addresses(memory, needle, align=4) == [at for at in expected if at % 4 == 0]


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    addresses(BufferMemory(bytes(1000)), b"x", progress=lambda *p: seen.append(p))
    assert seen[-1] == (1000, 1000)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [("0:16", 0, 16), ("1M+4K", 1 << 20, (1 << 20) + 4096), ("0x10:0x20", 16, 32)],
)
def test_range_syntax(text: str, start: int, end: int) -> None:
    assert parse_range(text) == AddressRange(start, end)


@pytest.mark.parametrize(
    "text", ["", "5", "5:5", "6:5", "1+0", "x:y", "-1:5", "0xffffffffffffffff+2"]
)
def test_bad_ranges(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_range(text)
    assert caught.value.hint


def test_a_file_that_vanishes_between_chunks(sparse: RamFile) -> None:
    matches = search.search(sparse, literal(b"\0"))
    assert next(matches).address == 0
    Path(sparse.file.path).unlink()
    with pytest.raises(TargetError, match="does not exist"):
        list(matches)


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three workers, who look at even the smallest extents where they lie."""
    monkeypatch.setattr(scan, "SMALL", 0)
    monkeypatch.setattr(search, "PARALLEL", 0)
    monkeypatch.setattr(search, "IN_PLACE", 1)
    monkeypatch.setattr(search, "BATCH", 8192)
    monkeypatch.setattr(search, "CHUNK", 4096)
    monkeypatch.setattr(search, "may_share_out", lambda: True)
    monkeypatch.setattr(workers, "usable_workers", lambda: 3)


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("seed", range(6))
def test_memory_looked_at_in_place_gives_the_same(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    pages, half = 96, 48 * 4096
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(pages * 4096)
        for page in rng.sample(range(pages), 70):
            file.seek(page * 4096)
            file.write(bytes(rng.choice(b"\0\0\1\2") for _ in range(4096)))
        file.flush()
        os.fsync(file.fileno())  # a disk's file system may take a block more when it writes back
    # The halves of the file are swapped: matches may lie across their border as well.
    ram = RamFile(str(path), [Segment(half, half, 0), Segment(0, half, half)])
    before = ram.allocated()
    data = ram.read(0, 2 * half)
    viewed = []
    for needle in (b"\1\2\1\2", b"\0\0\1\2\0", b"\2\1\0\0", bytes(9), b"\1\1\1\1\1"):
        regions = search.touched(ram, list(ram.segments.runs()), len(needle) - 1)
        viewed += [c for c in search._split(regions, len(needle) - 1, True) if c.in_place]
        for align in (1, 4):
            expected = [at for at in every(data, needle) if at % align == 0]
            assert addresses(ram, needle, align=align) == expected
    assert viewed
    assert ram.allocated() == before


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("left", [0, 4096])
def test_a_file_truncated_under_a_worker_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"\1\2" * MIB)
    ram = RamFile(str(path), [Segment(0, 2 * MIB, 0)], name="qemu1")
    real = RamFile.view

    def truncated(self: RamFile, address: int, size: int) -> memoryview:
        view = real(self, address, size)
        os.truncate(path, left)
        return view

    monkeypatch.setattr(RamFile, "view", truncated)
    # Only one: the others would notice before they look.
    monkeypatch.setattr(workers, "usable_workers", lambda: 1)
    children = children_made(monkeypatch)
    with pytest.raises(TargetError, match=r"qemu1.* shrank below its 0x200000 bytes; somebody"):
        addresses(ram, b"\2\1\1")
    assert len(children) == 1
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitpid(children[0], os.WNOHANG)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("in_place")
def test_memory_that_came_back_is_an_error_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bus_error(self: RamFile, address: int, size: int) -> memoryview:
        os.kill(os.getpid(), signal.SIGBUS)
        raise AssertionError

    path = tmp_path / "ram"
    path.write_bytes(b"\1\2" * MIB)
    monkeypatch.setattr(RamFile, "view", bus_error)
    with pytest.raises(TargetError, match="vanished while it was looked at"):
        addresses(RamFile(str(path), [Segment(0, 2 * MIB, 0)]), b"\2\1\1")


def test_workers_find_the_same(sparse: RamFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK", MIB // 2)
    alone = [addresses(sparse, n, limit=5000) for n in (b"\0\1", b"\2", b"\0\0\0\0")]
    monkeypatch.setattr(search, "PARALLEL", 0)
    monkeypatch.setattr(search, "may_share_out", lambda: True)
    monkeypatch.setattr(workers, "usable_workers", lambda: 3)
    assert [addresses(sparse, n, limit=5000) for n in (b"\0\1", b"\2", b"\0\0\0\0")] == alone
    os.truncate(sparse.file.path, MIB)
    children = children_made(monkeypatch)
    matches = search.search(sparse, literal(b"\0\0"))
    with pytest.raises(TargetError, match="shrank below its 0x800000 bytes; somebody truncated"):
        list(matches)
    assert len(children) == 3
    for pid in children:
        with pytest.raises(ChildProcessError):  # it was ended and waited for
            os.waitpid(pid, os.WNOHANG)


def children_made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes forked from now on, and only those: other tests may have children, too."""
    fork, made = os.fork, list[int]()

    def remembered() -> int:
        pid = fork()
        if pid:
            made.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", remembered)
    return made


@pytest.mark.parametrize(
    ("pattern", "first"),
    [("u64:0", 64), ("re:[^A]", 64), ("re:A{3}", 0), ("str:AAA", 0), ("hex:4100", 63)],
)
def test_a_file_that_claims_very_much_answers_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, first: int
) -> None:
    monkeypatch.setattr(search, "CHUNK", 1 << 20)
    memory = open_huge(tmp_path / "core")
    found = search.search(memory, parse_pattern(pattern), limit=2)
    assert next(found).address == first
    found.close()
    memory.close()


def test_what_is_searched_is_not_listed_before(tmp_path: Path) -> None:
    """A sparse file of 1 TiB, where zeros are looked for."""
    path = tmp_path / "ram"
    path.touch()
    os.truncate(path, 1 << 40)
    memory = RamFile(str(path), [Segment(0, 1 << 40, 0)])
    tracemalloc.start()
    assert addresses(memory, bytes(8), align=1 << 20, limit=3) == [0, 1 << 20, 2 << 20]
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()
    memory.close()
