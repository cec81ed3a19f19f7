# SPDX-License-Identifier: MIT
"""Which global variables have a known type: by BTF, or by the table of well-known ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.debugfile.ctype import CType, find_ctype
from ntbdbg.kernel.program.globals import GLOBAL_TYPES, MODULE_GLOBAL_TYPES
from ntbdbg.kernel.symbols.symbols import Symbol, SymbolTable

CODE = frozenset("tTwWiI")
"""Letters of symbols that are functions."""


class Variable(NamedTuple):
    """A symbol and its type."""

    symbol: Symbol
    type: CType


def variables(btf: Btf, table: SymbolTable) -> Iterator[Variable]:
    """Those of vmlinux, or of the module that `table` is of, each name once.

    :param btf: of the same
    """
    told = {btf.entry(number).name: CType(btf.entry(number).value) for number in btf.ids(Kind.VAR)}
    for name, text in _known(table.module).items():
        kind = None if name in told else find_ctype(btf, text)
        if kind is not None:
            told[name] = kind
    for name, kind in told.items():
        symbol = next(iter(table.named(name)), None)
        if symbol is not None and symbol.letter not in CODE:
            yield Variable(symbol, kind.filled(btf, symbol.size))


def _known(module: str | None) -> Mapping[str, str]:
    if module is None:
        return GLOBAL_TYPES
    return {name: text for (owner, name), text in MODULE_GLOBAL_TYPES.items() if owner == module}


class Function(NamedTuple):
    """A symbol of code and its type.

    :ivar number: of the FUNC
    """

    symbol: Symbol
    number: int


def functions(btf: Btf, table: Iterable[Symbol]) -> Iterator[Function]:
    """Every symbol of a function whose name has one type and no other, by address.

    What has the same name in two files has two types where they differ, and nobody tells which
    is whose.
    """
    known: dict[str, int] = {}
    for number in btf.ids(Kind.FUNC):
        name = btf.entry(number).name
        known[name] = -1 if name in known else number
    for symbol in table:
        number = known.get(symbol.name, -1)
        if number >= 0 and symbol.letter in CODE:
            yield Function(symbol, number)
