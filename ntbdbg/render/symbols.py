# SPDX-License-Identifier: MIT
"""Symbols as a table, what an address is, and both as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ntbdbg.render.pairs import pair_table
from ntbdbg.render.table import PlainTable, plain_table
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.analysis.symquery import Answer
    from ntbdbg.kernel.asked.symsearch import SymbolFacts


class SymbolView:
    """An address line by line, or symbols one a line."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.answer.address is None and self.answer.physical is None:
            yield _table(self.answer.symbols)
            return
        yield pair_table(self._rows())

    def _rows(self) -> Iterator[tuple[str, str]]:
        answer = self.answer
        yield "virtual", "none known" if answer.address is None else f"{answer.address:#x}"
        if answer.physical is None:
            yield "physical", "none: nothing is mapped there"
        else:
            yield "physical", f"{answer.guest}:{answer.physical:#x}"
        yield "symbol", answer.name or "none"
        for symbol in answer.symbols:
            yield "section", _section(symbol)
        if answer.owner:
            yield "page", answer.owner


def symbol_facts(answer: Answer) -> dict[str, Any]:
    """The document of ``sym --json`` (docs/json.md)."""
    return {
        "guest": answer.guest,
        "query": answer.query,
        "address": answer.address,
        "gpa": answer.physical,
        "name": answer.name,
        "owner": answer.owner,
        "symbols": [
            {
                "name": symbol.name,
                "module": symbol.module,
                "address": symbol.address,
                "size": symbol.size,
                "section": symbol.section,
                "global": symbol.is_global,
                "type": symbol.type,
            }
            for symbol in answer.symbols
        ],
        "complete": answer.is_complete,
    }


def _table(symbols: tuple[SymbolFacts, ...]) -> PlainTable:
    table = plain_table("ADDRESS", "SIZE", "SECTION", "NAME", "TYPE", right=("SIZE",))
    for symbol in symbols:
        module = f" [{symbol.module}]" if symbol.module else ""
        table.add_row(
            f"{symbol.address:016x}",
            f"{symbol.size:#x}" if symbol.size else "-",
            _section(symbol),
            printable(symbol.name + module),
            printable(symbol.type or "-"),
        )
    return table


def _section(symbol: SymbolFacts) -> str:
    return symbol.section if symbol.is_global else f"{symbol.section}, local"
