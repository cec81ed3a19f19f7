# SPDX-License-Identifier: MIT
"""Numbers and sizes as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import UsageError
from ntbdbg.units import (
    counted,
    format_numbers,
    format_size,
    label,
    parse_number,
    parse_size,
    short_size,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("0x40", 64),
        ("0X40", 64),
        ("0b11", 3),
        ("0o17", 15),
        ("007", 7),
        ("4K", 4096),
        ("4k", 4096),
        ("1M", 1 << 20),
        ("2MiB", 2 << 20),
        ("3G", 3 << 30),
        ("0x10K", 0x4000),
        ("page", 4096),
        ("1_000", 1000),
        (" 5 ", 5),
        ("0xffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_numbers(text: str, value: int) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a number"),
        ("K", "is not a number"),
        ("iB", "is not a number"),
        ("5iB", "is not a number"),
        ("1e3", "is not a number"),
        ("0x", "is not a number"),
        ("0xg", "is not a number"),
        ("٣", "is not a number"),
        ("1 2", "is not a number"),
        ("-1", "is negative"),
        ("0x10000000000000000", "does not fit into 64 bits"),
        ("18446744073709551616", "does not fit into 64 bits"),
        ("16777216T", "does not fit into 64 bits"),
        ("9" * 5000, "is not a number"),
    ],
)
def test_bad_numbers_say_what_good_ones_look_like(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_number(text, what="length")
    assert why in caught.value.message
    assert caught.value.message.startswith("length '")
    assert len(caught.value.message) < 100
    assert caught.value.hint == "write it like 64, 0x40, 4K, 1M or page"


def test_a_size_is_not_zero() -> None:
    with pytest.raises(UsageError, match="length is zero"):
        parse_size("0")


@given(st.integers(0, (1 << 64) - 1))
def test_what_python_prints_is_read(value: int) -> None:
    for text in (str(value), hex(value), bin(value), oct(value)):
        assert parse_number(text) == value


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_a_usage_error(text: str) -> None:
    try:
        assert 0 <= parse_number(text) < 1 << 64
    except UsageError as error:
        assert error.hint


@pytest.mark.parametrize(
    ("size", "text"),
    [
        *((0, "0 B"), (1, "1 B"), (4096, "4 KiB"), (5 << 20, "5 MiB"), (4097, "4097 B")),
        *((15616 << 10, "15.25 MiB"), (640 << 10, "640 KiB"), (1280 << 20, "1.25 GiB")),
        *((2047 << 20, "2047 MiB"), ((1 << 30) + 1, f"{(1 << 30) + 1} B"), (768, "768 B")),
    ],
)
def test_sizes_for_people_are_exact(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        *((0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (16000 << 10, "15.6 MiB")),
        *((4000 << 10, "3.91 MiB"), (256 << 20, "256 MiB"), ((256 << 20) - 1, "256 MiB")),
        *(((1 << 20) - 1, "1024 KiB"), (10 << 20, "10 MiB"), (3 << 39, "1.5 TiB")),
        *((15616 << 10, "15.25 MiB"), (260992 << 10, "255 MiB")),
    ],
)
def test_sizes_at_a_glance(size: int, text: str) -> None:
    assert short_size(size) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], "none"),
        ([3], "3"),
        ([0, 1], "0, 1"),
        (range(96), "0-95"),
        ([7, 0, 2, 1, 9, 9], "0-2, 7, 9"),
    ],
)
def test_lists_of_numbers(numbers: list[int], text: str) -> None:
    assert format_numbers(numbers) == text


def test_counts_have_a_plural() -> None:
    assert [counted(number, "page") for number in (0, 1, 2)] == ["0 pages", "1 page", "2 pages"]


@pytest.mark.parametrize(
    ("name", "offset", "text"),
    [
        ("jiffies", 0, "jiffies"),
        ("runqueues@1", 8, "runqueues@1+0x8"),
        ("idt_thread_isr [ntb_hw_idt]", 0, "idt_thread_isr [ntb_hw_idt]"),
        ("idt_thread_isr [ntb_hw_idt]", 0x10, "idt_thread_isr+0x10 [ntb_hw_idt]"),
        ("qemu1:mw0", 0x40, "qemu1:mw0+0x40"),
    ],
)
def test_what_lies_behind_the_start_of_a_name(name: str, offset: int, text: str) -> None:
    assert label(name, offset) == text
