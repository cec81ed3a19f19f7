# SPDX-License-Identifier: MIT
"""Dumps are xxd's, byte for byte, and xxd takes them back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntbdbg.inspect.dump import chunks
from ntbdbg.memory import BufferMemory, Segment
from ntbdbg.render import hexdump as hd
from ntbdbg.render.hexbulk import find_runs_bulk
from ntbdbg.render.hexdump import hexdump, offset_digits
from ntbdbg.render.hexlines import HexLayout
from ntbdbg.render.squeeze import find_runs

BASE = 0x1000


def xxd(*arguments: str, data: bytes = b"") -> bytes:
    """The output of the real xxd."""
    return subprocess.run(["xxd", *arguments], input=data, capture_output=True, check=True).stdout


@pytest.fixture(autouse=True)
def no_short_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk means bulk, also for a few lines."""
    monkeypatch.setattr("ntbdbg.render.hexbulk.FEW", 0)


def dump(data: bytes, layout: HexLayout, *, base: int = BASE, bulk: bool = False) -> bytes:
    memory = BufferMemory(data, [Segment(base, len(data), 0)])
    size = hd.BULK if bulk else len(data)
    parts = chunks(memory, base, len(data), line=layout.columns)
    return b"".join(hexdump(parts, layout, size))


# Lines of zeros, of one repeated byte, and of anything.
pieces = st.lists(
    st.one_of(
        st.integers(1, 70).map(bytes),
        st.tuples(st.integers(1, 255), st.integers(1, 70)).map(lambda t: bytes([t[0]]) * t[1]),
        st.binary(min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=8,
).map(b"".join)


@settings(deadline=None, max_examples=60)
@given(
    data=pieces,
    columns=st.integers(1, 40),
    width=st.sampled_from([1, 2, 4, 8]),
    squeeze=st.booleans(),
)
@pytest.mark.parametrize("bulk", [False, True])
def test_it_is_xxd(bulk: bool, data: bytes, columns: int, width: int, squeeze: bool) -> None:
    layout = HexLayout(columns, width, squeeze="zeros" if squeeze else "none")
    arguments = ["-a"] * squeeze + ["-c", str(columns), "-g", str(width), "-o", str(BASE)]
    assert dump(data, layout, bulk=bulk) == xxd(*arguments, data=data)


@settings(deadline=None, max_examples=40)
@given(data=pieces, groups=st.integers(1, 6), width=st.sampled_from([1, 2, 4, 8]))
@pytest.mark.parametrize("bulk", [False, True])
def test_little_endian_is_xxd_e(bulk: bool, data: bytes, groups: int, width: int) -> None:
    columns = groups * width
    layout = HexLayout(columns, width, little=True, squeeze="none")
    ours = dump(data, layout, bulk=bulk)
    theirs = xxd("-e", "-c", str(columns), "-g", str(width), "-o", str(BASE), data=data)
    # xxd -e pads a cut last line by one column too many or too few, depending on its version.
    assert [re.split(rb" {2,}", line) for line in ours.splitlines()] == [
        re.split(rb" {2,}", line) for line in theirs.splitlines()
    ]


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=pieces)
@pytest.mark.parametrize("bulk", [False, True])
def test_xxd_r_takes_it_back(tmp_path: Path, bulk: bool, data: bytes) -> None:
    out = tmp_path / "back"
    out.unlink(missing_ok=True)
    text = dump(data, HexLayout(), bulk=bulk)
    subprocess.run(["xxd", "-r", "-s", str(-BASE), "-", str(out)], input=text, check=True)
    assert out.read_bytes() == data


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"ab" + bytes(200) + b"cd" * 100 + bytes(64)
    whole = {bulk: dump(data, HexLayout(), bulk=bulk) for bulk in (False, True)}
    monkeypatch.setattr("ntbdbg.inspect.dump.CHUNK", 32)
    assert dump(data, HexLayout()) == whole[False] == whole[True]
    assert dump(data, HexLayout(), bulk=True) == whole[True]


@settings(deadline=None)
@given(data=pieces, line=st.sampled_from([1, 4, 8, 16, 24]), any_repeat=st.booleans())
def test_both_run_finders_agree(data: bytes, line: int, any_repeat: bool) -> None:
    data = data[: len(data) // line * line]
    assert find_runs(data, line, any_repeat) == find_runs_bulk(data, line, any_repeat)


def test_squeeze_all_squeezes_any_repeat() -> None:
    data = b"A" * 64 + b"B" * 16 + b"C" * 80
    text = dump(data, HexLayout(squeeze="all")).decode().splitlines()
    assert [line.split("  ")[0][:13] for line in text] == [
        "00001000: 414",
        "*",
        "00001040: 424",
        "00001050: 434",
        "*",
        "00001090: 434",
    ]


@pytest.mark.parametrize("bulk", [False, True])
def test_above_4_gib_offsets_have_16_digits(bulk: bool) -> None:
    layout = HexLayout(digits=offset_digits((1 << 32) + 32))
    text = dump(b"x" * 32, layout, base=1 << 32, bulk=bulk).decode()
    assert text.startswith("0000000100000000: 7878 7878")
    assert text.splitlines()[1].startswith("0000000100000010: ")
    assert xxd("-r", "-s", str(-(1 << 32)), data=text.encode()) == b"x" * 32


def test_the_last_line_below_4_gib_still_has_8() -> None:
    assert offset_digits(1 << 32) == 8
    assert offset_digits((1 << 32) + 1) == 16


def test_colours_change_nothing_but_colours() -> None:
    data = bytes(range(256)) + b"abc"
    for layout in (HexLayout(), HexLayout(little=True, width=4), HexLayout(columns=7)):
        plain = dump(data, layout)
        colored = dump(data, layout._replace(color=True))
        assert re.sub(rb"\x1b\[[0-9]*m", b"", colored) == plain
        assert b"\x1b[36m" in colored
