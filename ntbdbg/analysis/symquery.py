# SPDX-License-Identifier: MIT
"""What an address is called, and what is known of a name."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError
from ntbdbg.kernel.asked.symsearch import SymbolFacts, facts_of, is_pattern, matching
from ntbdbg.lab.address import AddressExpr

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.guest import Guest


@dataclass(frozen=True)
class Answer:
    """What a query found.

    :ivar address: VA that was asked about, directly or by its GPA; None for names
    :ivar physical: GPA behind it, None for names and where nothing is mapped
    :ivar name: ``jiffies+0x4``, None if no symbol has the address
    :ivar owner: of its page: ``slab kmalloc-64``, or None
    :ivar symbols: that were found, of an address the one it lies in
    :ivar is_complete: whether these are all
    :ivar problem: why a name was not found, with similar ones
    """

    guest: str
    query: str
    address: int | None = None
    physical: int | None = None
    name: str | None = None
    owner: str | None = None
    symbols: tuple[SymbolFacts, ...] = ()
    is_complete: bool = True
    problem: str | None = None

    @property
    def found(self) -> bool:
        """Whether anything is known."""
        return bool(self.symbols or self.name or self.owner)


def ask(guest: Guest, query: str, limit: int) -> Answer:
    """Look `query` up: a pattern, a name with CPU and members, or an address.

    :param limit: of symbols; 0 for all
    :raises KernelError: the kernel or its symbols are not understood
    """
    guest.kernel.table  # noqa: B018  no kernel is an error, no such symbol an answer
    if is_pattern(query):
        return _by_pattern(guest, query, limit)
    expr = AddressExpr.parse(query, guest.lab.names)
    if isinstance(expr.base, str) and not expr.offset and expr.capture is None:
        return _by_name(guest, expr.base, limit)
    return _by_address(guest, query)


def _by_pattern(guest: Guest, pattern: str, limit: int) -> Answer:
    kernel = guest.kernel
    symbols = matching(kernel, pattern)
    shown = list(itertools.islice(symbols, limit)) if limit else list(symbols)
    return Answer(
        guest.name,
        pattern,
        symbols=tuple(facts_of(kernel, symbol) for symbol in shown),
        is_complete=next(symbols, None) is None,
    )


def _by_name(guest: Guest, text: str, limit: int) -> Answer:
    from ntbdbg.kernel.asked.lookup import named
    from ntbdbg.kernel.symbols.path import SymbolPath

    kernel = guest.kernel
    path = SymbolPath.parse(text)
    try:
        symbols = named(kernel, path)
        if path.cpu is not None or path.members or path.name != symbols[0].name:
            return Answer(guest.name, text, symbols=(_beyond_symbol(kernel, text),))
    except KernelError as error:
        return Answer(guest.name, text, problem=str(error))
    shown = symbols[:limit] if limit else symbols
    found = tuple(facts_of(kernel, symbol, _type(kernel, symbol.module, text)) for symbol in shown)
    return Answer(guest.name, text, symbols=found, is_complete=len(shown) == len(symbols))


def _type(kernel: Kernel, module: str | None, text: str) -> str | None:
    qualified = f"{module}:{text}" if module and ":" not in text else text
    return kernel.type_name(qualified)


def _beyond_symbol(kernel: Kernel, text: str) -> SymbolFacts:
    """A member, or a CPU's copy."""
    found = kernel.lookup(text)
    facts = facts_of(kernel, found.symbol, kernel.type_name(text))
    name = str(found.path._replace(module=None))
    return facts._replace(name=name, address=found.address, size=found.size)


def _by_address(guest: Guest, query: str) -> Answer:
    from ntbdbg.kernel.asked.naming import Naming
    from ntbdbg.kernel.tasks.pages import PageMap

    place = guest.resolve(query)
    kernel = place.guest.kernel
    naming = Naming(kernel)
    virtual = place.address if place.is_virtual else naming.virtual(place.address)
    physical = kernel.tables.walk(place.address).address if place.is_virtual else place.address
    name = None if virtual is None else naming.name(virtual)
    owner = None if physical is None else PageMap(kernel).owner(physical)
    symbol = None if virtual is None else kernel.find_symbol(virtual)
    return Answer(
        guest=place.guest.name,
        query=query,
        address=virtual,
        physical=physical,
        name=str(name) if name else None,
        owner=str(owner) if owner else None,
        symbols=(facts_of(kernel, symbol[0]),) if symbol and name else (),
    )
