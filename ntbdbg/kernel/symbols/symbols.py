# SPDX-License-Identifier: MIT
"""Symbols by name and by address."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from ntbdbg.errors import KernelError
from ntbdbg.kernel.symbols.names import Names

IMAGE_START = 0xFFFF_8000_0000_0000
"""Symbols below are no addresses but values, such as offsets of per-CPU variables."""

FEW_LOOKUPS = 128
"""Different names, before a dictionary of all is worth its making: 300 times one search."""


class Symbol(NamedTuple):
    """A name for an address.

    :ivar address: VA; for a per-CPU variable its place in every CPU's area (`Kernel.percpu`)
    :ivar size: bytes to the next symbol, 0 if there is none; kallsyms knows no real sizes
    :ivar module: which has it, None for vmlinux
    :ivar letter: as ``nm`` shows it: ``T`` global text, ``d`` local data, …
    """

    name: str
    address: int
    size: int
    module: str | None = None
    letter: str = "?"

    @property
    def title(self) -> str:
        """With the module that has it: ``idt_thread_isr [ntb_hw_idt]``."""
        return f"{self.name} [{self.module}]" if self.module else self.name

    @property
    def is_global(self) -> bool:
        """Whether other files of the kernel see it."""
        return self.letter.isupper()


class SymbolTable(Sequence[Symbol]):
    """Symbols of vmlinux, or of one module, by address.

    :param names: each after its letter: ``Tstart_kernel``
    :param end: where the last one ends; by default it has no size
    :param ordered: `addresses` ascend, which then is not checked
    :param shift: how far KASLR moved the image from where `addresses` have it
    """

    def __init__(
        self,
        addresses: Sequence[int],
        names: Sequence[str],
        *,
        module: str | None = None,
        end: int = 0,
        ordered: bool = False,
        shift: int = 0,
    ) -> None:
        if not ordered and any(low > high for low, high in pairwise(addresses)):
            order = sorted(range(len(addresses)), key=addresses.__getitem__)
            addresses = array("Q", map(addresses.__getitem__, order))
            names = [names[index] for index in order]
        self._unmoved, self._shift = addresses, shift
        self.names = Names.of(names)
        self.module = module
        self._found: dict[str, list[int]] = {}
        self._last = self._address(len(addresses) - 1) if addresses else 0
        self._end = max(end, self._last)

    @classmethod
    def empty(cls, module: str | None = None) -> SymbolTable:
        """A table without symbols."""
        return cls(array("Q"), [], module=module)

    def moved(self, back: int) -> SymbolTable:
        """The same symbols, those that are addresses lower by `back` bytes."""
        end = self._end - back if self._end >= IMAGE_START else self._end
        shift = self._shift - back
        return SymbolTable(
            self._unmoved, self.names, module=self.module, end=end, ordered=True, shift=shift
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._symbol(range(len(self))[index])

    def addresses(self) -> list[int]:
        """Of every symbol, in ascending order."""
        return list(map(self._address, range(len(self))))

    def named(self, name: str) -> list[Symbol]:
        """Every symbol of that name: global ones first, then by address."""
        found = [self._symbol(index) for index in self._indices(name)]
        return sorted(found, key=lambda symbol: not symbol.is_global)

    def _indices(self, name: str) -> Sequence[int]:
        if name not in self._found:
            if len(self._found) >= FEW_LOOKUPS:
                return self._by_name.get(name, ())
            self._found[name] = list(self.names.search(name, skip=1))
        return self._found[name]

    def at(self, address: int) -> Symbol | None:
        """The symbol that `address` is in; of several at one address a global one, else the first.

        None before the first one, and beyond the end of the last one.
        """
        last = bisect_right(self._unmoved, self._place(address)) - 1
        if last < 0 or address > max(self._last, self._end - 1):
            return None
        start = self._unmoved[last]
        if start < IMAGE_START <= address:
            return None
        first = bisect_left(self._unmoved, start)
        best = min(range(first, last + 1), key=lambda index: not self.names[index][0].isupper())
        return self._symbol(best)

    def containing(self, text: str, limit: int) -> Iterator[str]:
        """At most `limit` names that hold `text`, whatever its case."""
        wanted = text.lower()
        hits = (name[1:] for name in self.names if wanted in name.lower())
        return (name for _, name in zip(range(limit), hits, strict=False))

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            found.setdefault(name[1:], []).append(index)
        return found

    def _symbol(self, index: int) -> Symbol:
        address, name = self._address(index), self.names[index]
        size = max(self._next(address) - address, 0)
        return Symbol(name[1:], address, size, self.module, name[0])

    def _next(self, address: int) -> int:
        after = bisect_right(self._unmoved, self._place(address))
        if after < len(self._unmoved):
            following = self._address(after)
            # From the last per-CPU variable to the image is no size.
            return address if address < IMAGE_START <= following else following
        return self._end

    def _address(self, index: int) -> int:
        """Of a symbol; those that are no addresses stay where they are."""
        unmoved = self._unmoved[index]
        return unmoved + self._shift if unmoved >= IMAGE_START else unmoved

    def _place(self, address: int) -> int:
        """Where `address` would be, had KASLR not moved the image."""
        return max(address - self._shift, IMAGE_START) if address >= IMAGE_START else address


def nearest(name: str, tables: Iterable[SymbolTable], most: int = 3) -> list[str]:
    """Names that somebody who wrote `name` may have meant, the likeliest first."""
    from difflib import get_close_matches

    candidates: set[str] = set()
    tables = list(tables)
    # Comparing with all of 100,000 names takes seconds; what shares a beginning is likelier.
    for length in range(len(name), 2, -1):
        for table in tables:
            candidates.update(table.containing(name[:length], 500))
        if len(candidates) >= most:
            break
    return get_close_matches(name, candidates, most, 0.6)


def no_such_symbol(memory: str, name: str, where: str, table: SymbolTable) -> KernelError:
    """The error for a symbol that is not there.

    :param memory: the guest whose kernel was asked
    :param where: it was looked for
    :param table: has similar names
    """
    similar = nearest(name, [table])
    return KernelError(
        f"{memory}: no symbol {name!r} in {where}",
        hint=f"similar: {', '.join(similar)}" if similar else "symbols are case-sensitive",
    )
