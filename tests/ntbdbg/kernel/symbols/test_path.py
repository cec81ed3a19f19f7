# SPDX-License-Identifier: MIT
"""Paths into the kernel: where symbols may end, and members."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import UsageError
from ntbdbg.kernel.symbols.path import SymbolPath, member_steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("init_task", (None, "init_task", None, "")),
        ("init_uts_ns.name.nodename", (None, "init_uts_ns.name.nodename", None, "")),
        ("foo.isra.0", (None, "foo.isra.0", None, "")),
        ("init_task.comm[3]", (None, "init_task.comm", None, "[3]")),
        ("softirq_vec[0x3].action", (None, "softirq_vec", None, "[0x3].action")),
        ("runqueues@1", (None, "runqueues", 1, "")),
        ("runqueues@1.curr", (None, "runqueues", 1, ".curr")),
        ("ntb_hw_idt:idt_isr.cold", ("ntb_hw_idt", "idt_isr.cold", None, "")),
        ("mod:table[2][7].x", ("mod", "table", None, "[2][7].x")),
    ],
)
def test_parse(text: str, expected: tuple[str | None, str, int | None, str]) -> None:
    path = SymbolPath.parse(text)
    assert path == expected
    assert str(path) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ".x", "a..b", "a.", "a[", "a[]", "a[-1]", "a[x]", "a@", "a@x", "a@1@2", "a:b:c"),
        *("1a", "a b", "a.b[1]c", "a\n", "é", "a" * 513),
    ],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(UsageError, match="no symbol") as caught:
        SymbolPath.parse(text)
    assert caught.value.hint


def test_the_longest_symbol_comes_first() -> None:
    assert list(SymbolPath.parse("foo.cold.x[2].y").splits()) == [
        ("foo.cold.x", "[2].y"),
        ("foo.cold", ".x[2].y"),
        ("foo", ".cold.x[2].y"),
    ]
    assert list(SymbolPath.parse("foo.isra.0.x").splits()) == [
        ("foo.isra.0.x", ""),
        ("foo.isra.0", ".x"),
    ]
    assert list(SymbolPath.parse("foo.bar@1.x").splits()) == [("foo.bar", ".x")]


def test_member_steps() -> None:
    assert member_steps(".comm[3].x") == ["comm", 3, "x"]
    assert member_steps("comm[0x10]") == ["comm", 16]
    assert member_steps("[2][7]") == [2, 7]
    assert member_steps("") == []
    for bad in (".0", ".", "..a", "[x]", "[0xg]", "a b", "[1_000_000_000_x]"):
        with pytest.raises(UsageError, match="no members"):
            member_steps(bad)


@given(st.text(alphabet="ab.0_[]@:$1", max_size=12))
def test_any_text_is_a_path_or_a_usage_error(text: str) -> None:
    try:
        path = SymbolPath.parse(text)
    except UsageError:
        return
    assert str(path) == text
    for symbol, members in path.splits():
        assert path.cpu is not None or symbol + members == path.name + path.members
