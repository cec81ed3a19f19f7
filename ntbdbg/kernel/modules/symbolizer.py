# SPDX-License-Identifier: MIT
"""Names for addresses and addresses for names, in vmlinux and in modules.

A `Symbolizer` belongs to one moment: it walks the list of modules once, when it first needs it.
Modules come and go, so nobody keeps it for longer than one answer takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.modules.listing import Listing
from ntbdbg.kernel.symbols.symbols import IMAGE_START, Symbol, SymbolTable, no_such_symbol
from ntbdbg.units import label

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.modules.modules import Module


class Symbolizer:
    """The symbols of `kernel` as of now."""

    def __init__(self, kernel: KernelImage) -> None:
        self._kernel = kernel
        self._budget = kernel.budget
        self._tables: dict[int, SymbolTable] = {}

    @cached_property
    def modules(self) -> Listing[Module]:
        """The loaded modules; empty, and `partial`, if they cannot be found."""
        from ntbdbg.kernel.modules.modules import loaded_modules

        try:
            return loaded_modules(self._kernel)
        except (KernelError, FaultError) as error:
            nothing: Listing[Module] = Listing()
            nothing.partial = error.message
            return nothing

    def table(self, module: str | None) -> SymbolTable:
        """The symbols of a module, or of vmlinux.

        :raises KernelError: no such module, or its symbols make no sense
        """
        if module in (None, "vmlinux"):
            return self._kernel.table
        found = next((one for one in self.modules if one.name == module), None)
        if found is None:
            names = ", ".join(sorted(one.name for one in self.modules))
            raise KernelError(
                f"{self._kernel.memory.name}: no module {module!r} is loaded",
                hint=f"loaded are: {names}" if names else self.modules.partial or "none is loaded",
            )
        return self._table_of(found)

    def named(self, name: str, module: str | None = None) -> list[Symbol]:
        """Every symbol of that name: vmlinux before modules, global before local.

        :param module: where to look, by default everywhere
        :raises KernelError: no such module
        """
        if module is not None:
            return self.table(module).named(name)
        found = self._kernel.table.named(name)
        for one in self.modules:
            found += self._sound_table(one).named(name)
        return found

    def symbol(self, name: str, module: str | None = None) -> Symbol:
        """As `first`; KernelError, with similar names, if there is none."""
        found = self.first(name, module)
        if found is None:
            raise self._unknown(name, module)
        return found

    def symbols(self, name: str, module: str | None = None) -> list[Symbol]:
        """As `named`; KernelError, with similar names, if there is none."""
        found = self.named(name, module)
        if not found:
            raise self._unknown(name, module)
        return found

    def first(self, name: str, module: str | None = None) -> Symbol | None:
        """As `named`, the first one; modules are looked at only if vmlinux has none."""
        own = [] if module else self._kernel.table.named(name)
        return next(iter(own or self.named(name, module)), None)

    def first_in(self, name: str, module: str | None) -> Symbol | None:
        """As `first`; None as well if there is no such module."""
        loaded = module in (None, "vmlinux") or any(one.name == module for one in self.modules)
        return self.first(name, module) if loaded else None

    def tables(self) -> Iterator[SymbolTable]:
        """The symbols of vmlinux, then those of each module."""
        yield self._kernel.table
        yield from map(self._sound_table, self.modules)

    def find(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol that a VA is in, and the bytes from its start; None if there is none."""
        if address < IMAGE_START:
            return None
        symbol = self._kernel.table.at(address)
        if symbol is None and address >= self._kernel.arch.modules:
            symbol = self._find_in_modules(address)
        return None if symbol is None else (symbol, address - symbol.address)

    def label(self, address: int) -> str | None:
        """``init_uts_ns+0x4``, ``idt_isr+0x10 [ntb_hw_idt]``; None if no symbol has this VA."""
        found = self.find(address)
        if found is None:
            return None
        symbol, offset = found
        return label(symbol.title, offset)

    def _unknown(self, name: str, module: str | None) -> KernelError:
        release = self._kernel.info.release
        where = f"module {module}" if module else f"Linux {release} or its modules"
        return no_such_symbol(self._kernel.memory.name, name, where, self.table(module))

    def _find_in_modules(self, address: int) -> Symbol | None:
        for module in self.modules:
            for region in module.regions:
                if address in region:
                    symbol = self._sound_table(module).at(address)
                    return symbol if symbol and symbol.address in region else None
        return None

    def _sound_table(self, module: Module) -> SymbolTable:
        """Its symbols, none if they make no sense."""
        try:
            return self._table_of(module)
        except KernelError:
            return SymbolTable.empty(module.name)

    def _table_of(self, module: Module) -> SymbolTable:
        if module.address not in self._tables:
            from ntbdbg.kernel.modules.moduledata import module_symbols

            virtual, layouts = self._kernel.virtual, self._kernel.layouts
            self._tables[module.address] = module_symbols(virtual, layouts, module, self._budget)
        return self._tables[module.address]
