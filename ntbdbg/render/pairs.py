# SPDX-License-Identifier: MIT
"""Facts of one thing: a word and what it is, a line each."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from ntbdbg.render.text import printable


def pair_table(rows: Iterable[tuple[str, str]]) -> Table:
    """`rows` in two columns without heading; the second wraps."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, text in rows:
        table.add_row(what, printable(text))
    return table
