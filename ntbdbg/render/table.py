# SPDX-License-Identifier: MIT
"""Plain tables: bold titles, no borders, two blanks between columns."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text


def whole_line(text: str) -> Text:
    """A line that a narrow terminal wraps by itself, so that a path can be copied."""
    return Text(text, no_wrap=True, overflow="ignore")


def plain_table(*titles: str, right: Iterable[str] = (), last_folds: bool = True) -> Table:
    """A table with these columns; those named in `right` are right-aligned.

    :param last_folds: the last column wraps where the line is too narrow, the others never do
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        folds = last_folds and title == titles[-1]
        table.add_column(
            title,
            justify="right" if title in right else "left",
            no_wrap=not folds,
            overflow="fold",
        )
    return table


def facts_table(facts: Iterable[tuple[str | Text, str | Text]]) -> Table:
    """Names and what there is to say of each."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, text)
    return table
