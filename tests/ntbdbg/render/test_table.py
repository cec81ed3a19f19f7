# SPDX-License-Identifier: MIT
"""Tables at any width: columns stay whole, and nothing is blank at the end of a line."""

from __future__ import annotations

import io

import pytest
from rich.text import Text

from ntbdbg.render.console import make_console
from ntbdbg.render.table import PlainTable, plain_table


def drawn(table: PlainTable, width: int) -> list[str]:
    file = io.StringIO()
    make_console(file, color=False, width=width).print(table)
    return file.getvalue().splitlines()


def example(*, prose: bool) -> PlainTable:
    table = plain_table("NAME", "AT", "SIZE", "REACHES", right=("SIZE",), last_folds=prose)
    table.add_row("qemu1:mw0", "0xfe000000", "1 MiB", "qemu2:0x200000-0x2fffff and no more")
    table.add_row("qemu2:mw0", Text("-", "dim"), "16 MiB", "-")
    return table


def test_with_room() -> None:
    assert drawn(example(prose=False), 80) == [
        "NAME       AT            SIZE  REACHES",
        "qemu1:mw0  0xfe000000   1 MiB  qemu2:0x200000-0x2fffff and no more",
        "qemu2:mw0  -           16 MiB  -",
    ]


def test_a_text_is_folded_between_words() -> None:
    assert drawn(example(prose=True), 60) == [
        "NAME       AT            SIZE  REACHES",
        "qemu1:mw0  0xfe000000   1 MiB  qemu2:0x200000-0x2fffff and",
        "                               no more",
        "qemu2:mw0  -           16 MiB  -",
    ]


@pytest.mark.parametrize("prose", [True, False])
def test_a_column_that_does_not_fit_goes_below(prose: bool) -> None:
    assert drawn(example(prose=prose), 40) == [
        "NAME       AT            SIZE",
        "qemu1:mw0  0xfe000000   1 MiB",
        "    reaches qemu2:0x200000-0x2fffff and no more",
        "qemu2:mw0  -           16 MiB",
    ]


def test_all_columns_but_the_first_go_below() -> None:
    lines = drawn(example(prose=True), 12)
    assert lines[:4] == ["NAME", "qemu1:mw0", "    at 0xfe000000", "    size 1 MiB"]


def test_a_cell_of_several_lines_below() -> None:
    table = plain_table("A", "B", last_folds=False)
    table.add_row("x", "0x1000-0x1fff\n0x3000-0x3fff")
    assert drawn(table, 10) == ["A", "x", "    b 0x1000-0x1fff", "    b 0x3000-0x3fff"]


@pytest.mark.parametrize("width", range(8, 90, 3))
def test_no_number_is_cut_at_any_width(width: int) -> None:
    lines = drawn(example(prose=True), width)
    text = "\n".join(lines)
    assert "0xfe000000" in text
    assert "qemu2:0x200000-0x2fffff" in text
    assert all(line == line.rstrip() for line in lines)
