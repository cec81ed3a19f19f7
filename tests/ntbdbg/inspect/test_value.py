# SPDX-License-Identifier: MIT
"""The grammar of values and patterns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import UsageError
from ntbdbg.inspect.value import MAX_VALUE, literal, parse_pattern, parse_value


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("u8:255", b"\xff"),
        ("u16:0x1234", b"\x34\x12"),
        ("u16be:0x1234", b"\x12\x34"),
        ("u32:5", b"\x05\0\0\0"),
        ("u32le:5", b"\x05\0\0\0"),
        ("u64be:1", b"\0\0\0\0\0\0\0\x01"),
        ("u64:4K", b"\0\x10\0\0\0\0\0\0"),
        ("i8:-1", b"\xff"),
        ("i16be:-2", b"\xff\xfe"),
        ("i32:-2147483648", b"\0\0\0\x80"),
        ("u16:1,2, 3", b"\x01\0\x02\0\x03\0"),
        ("hex:de ad be ef", b"\xde\xad\xbe\xef"),
        ("hex:DEADbeef", b"\xde\xad\xbe\xef"),
        ("hex:de:ad-be_ef", b"\xde\xad\xbe\xef"),
        ("hex:0xde,0xad", b"\xde\xad"),
        ("hex:\\xde\\xad", b"\xde\xad"),
        ("str:hello: world", b"hello: world"),
        ("str:ä", b"\xc3\xa4"),
        ("utf16:hi", b"h\0i\0"),
        ("utf16be:hi", b"\0h\0i"),
    ],
)
def test_values(text: str, data: bytes) -> None:
    assert parse_value(text) == data
    assert parse_pattern(text).literal == data


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5", "has no type"),
        ("", "has no type"),
        ("u32", "has no type"),
        ("u32:", "is not a number"),
        ("u32:x", "is not a number"),
        ("u24:1", "no type 'u24'"),
        ("f32:1", "no type 'f32'"),
        ("u8:256", "does not fit u8; u8 holds 0 to 255"),
        ("u8:-1", "is negative"),
        ("i8:128", "does not fit i8; i8 holds -128 to 127"),
        ("i8:-129", "does not fit i8"),
        ("u64:0x10000000000000000", "does not fit into 64 bits"),
        ("u32:1,,2", "is not a number"),
        ("hex:", "is empty"),
        ("hex:d", "is not pairs of hex digits"),
        ("hex:d ea d", "is not pairs of hex digits"),
        ("hex:zz", "is not pairs of hex digits"),
        ("str:", "is empty"),
        ("utf16:\udc80", "is not valid UTF-8"),
        ("re:x", "is a pattern, which only search takes"),
        ("@/nonexistent", "value @/nonexistent: No such file or directory"),
        ("@/dev/zero", "not a regular file"),
        ("@/tmp", "Is a directory"),
    ],
)
def test_bad_values_say_why_and_what_next(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(text)
    assert why in str(caught.value)
    assert caught.value.hint


def test_a_file_is_a_value(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"\0\xff\n")
    assert parse_value(f"@{path}") == b"\0\xff\n"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="is empty"):
        parse_value(f"@{path}")
    os.truncate(path, MAX_VALUE + 1)
    with pytest.raises(UsageError, match="at most 16777216 are allowed"):
        parse_value(f"@{path}")


def test_a_regular_expression_is_over_bytes_and_lines_do_not_matter() -> None:
    regex = parse_pattern("re:NTB.[0-9]\\xff").regex
    assert regex
    assert regex.search(b"..NTB\n7\xff")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("re:(", "is no regular expression"),
        ("re:", "matches nothing at all"),
        ("re:a*", "matches nothing at all"),
        ("re:a{99999999999}", "is no regular expression"),
    ],
)
def test_bad_expressions(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pattern(text)
    assert why in str(caught.value)
    assert caught.value.hint


def test_an_empty_literal_is_refused() -> None:
    with pytest.raises(UsageError):
        literal(b"")


@given(
    bits=st.sampled_from([8, 16, 32, 64]),
    signed=st.booleans(),
    order=st.sampled_from(["", "le", "be"]),
    value=st.integers(-(1 << 65), 1 << 65),
)
def test_numbers_round_trip_or_do_not_fit(bits: int, signed: bool, order: str, value: int) -> None:
    text = f"{'i' if signed else 'u'}{bits}{order}:{value}"
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if low <= value < high:
        data = parse_value(text)
        assert len(data) == bits // 8
        assert int.from_bytes(data, "big" if order == "be" else "little", signed=signed) == value
    else:
        with pytest.raises(UsageError):
            parse_value(text)


@given(st.binary(min_size=1, max_size=40))
def test_hex_round_trips(data: bytes) -> None:
    assert parse_value("hex:" + data.hex()) == data
    assert parse_value("hex:" + data.hex(" ")) == data


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_a_usage_error(text: str) -> None:
    try:
        parse_pattern(text)
    except UsageError as error:
        assert error.hint
