# SPDX-License-Identifier: MIT
"""A kernel as a `drgn.Program`: its memory, symbols, types and variables, so drgn's helpers work.

drgn translates addresses itself, by the kernel's page tables; it is given what lies in RAM by
copying, since a mapped file that somebody truncates would end the process.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import drgn
from drgn import FindObjectFlags, Program, SymbolBinding, SymbolKind, TypeKind

from ntbdbg.errors import KernelError
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.modules.types import ModuleTypes
from ntbdbg.kernel.program.finder import BtfTypes, register_btf
from ntbdbg.kernel.program.globals import GLOBAL_TYPES, MODULE_GLOBAL_TYPES
from ntbdbg.kernel.symbols.symbols import SymbolTable

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.reader import Btf
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.symbols.symbols import Symbol

_KINDS = {
    **dict.fromkeys("tT", SymbolKind.FUNC),
    **dict.fromkeys("bBcCdDgGrRsSvV", SymbolKind.OBJECT),
}


class KernelProgram:
    """What drgn is told of `kernel`.

    :ivar kernel: whose program it is
    :ivar prog: the program; any of drgn's helpers take it
    :ivar types: the types of BTF, None if the kernel carries none and debug information is used
    :ivar debug_file: whose debug information it uses, None if none was given
    """

    def __init__(self, kernel: KernelImage) -> None:
        self.kernel = kernel
        self.types: BtfTypes | None = None
        self.debug_file: str | None = None
        self.prog = _program(kernel)
        self._add_memory()
        with _without_plugins():
            self.prog.set_linux_kernel_custom(kernel.info.text, kernel.memory.is_live)
        self.prog.register_symbol_finder("kallsyms", self._find_symbols, enable_index=-1)
        self.prog.register_object_finder("globals", self._find_object, enable_index=-1)

    @property
    def name(self) -> str:
        """The guest's, which messages begin with."""
        return self.kernel.memory.name

    def add_btf(self) -> None:
        """Let it find the types that the kernel and its modules carry."""
        self.types = register_btf(self.prog, self.kernel.btf, self._module_types)

    def add_debug_info(self, path: str) -> None:
        """Let it use the debug information in `path`, before BTF.

        :raises KernelError: there is none, or it is of another kernel
        """
        _add_debug_info(self.prog, self.kernel, path)
        self.debug_file = path

    def variable_type(self, symbol: Symbol) -> drgn.Type | None:
        """The C type of a global variable or function, None if nobody tells it."""
        found = self.types.type_of(symbol.name, symbol.module or "vmlinux") if self.types else None
        if found is None and symbol.module is None:
            found = self._debug_type(symbol.name)
        return found or self._known_type(symbol)

    def _add_memory(self) -> None:
        memory, step = self.kernel.memory, self.kernel.step

        def read(address: int, count: int, offset: int, physical: bool) -> bytes:
            step()
            return memory.read(address, count)

        for segment in memory.segments:
            self.prog.add_memory_segment(segment.start, segment.size, read, physical=True)

    def _module_types(self) -> list[Btf]:
        try:
            types = ModuleTypes(self.kernel)
        except KernelError:  # no module can have any
            return []
        found = []
        for module in Symbolizer(self.kernel).modules:
            with contextlib.suppress(KernelError):  # it has none, or a damaged one
                found.append(types.of(module))
        return found

    def _known_type(self, symbol: Symbol) -> drgn.Type | None:
        if symbol.module:
            name = MODULE_GLOBAL_TYPES.get((symbol.module, symbol.name))
        else:
            name = GLOBAL_TYPES.get(symbol.name)
        if name is None:
            return None
        try:
            return self.prog.type(name)
        except LookupError:
            return None

    def _debug_type(self, name: str) -> drgn.Type | None:
        try:
            return self.prog.object(name, FindObjectFlags.VARIABLE | FindObjectFlags.FUNCTION).type_
        except LookupError:
            return None

    # -- as drgn asks ----------------------------------------------------------------------

    def _find_symbols(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> Sequence[drgn.Symbol]:
        now = Symbolizer(self.kernel)
        if name is not None:
            first = now.first(name)
            found = ([first] if first else []) if one else now.named(name)
        elif address is not None:
            place = now.find(address)
            found = [place[0]] if place else []
        else:
            found = [symbol for table in now.tables() for symbol in table]
        return [_drgn_symbol(symbol) for symbol in found if address is None or _in(address, symbol)]

    def _find_object(
        self, prog: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> drgn.Object | None:
        if not flags & (FindObjectFlags.VARIABLE | FindObjectFlags.FUNCTION):
            return None
        symbol = Symbolizer(self.kernel).first_in(name, filename)
        if symbol is None:
            return None
        found = self.types.type_of(name, symbol.module or "vmlinux") if self.types else None
        found = found or self._known_type(symbol)
        if found is None:
            return None
        is_function = found.kind == TypeKind.FUNCTION
        wanted = FindObjectFlags.FUNCTION if is_function else FindObjectFlags.VARIABLE
        return drgn.Object(prog, found, address=symbol.address) if flags & wanted else None


def debug_symbols(kernel: KernelImage, path: str) -> SymbolTable:
    """The symbols in a file with debug information, for kernels that do not tell theirs.

    :raises KernelError: as `KernelProgram.add_debug_info`
    """
    prog = _program(kernel)
    with _without_plugins():
        prog.set_linux_kernel_custom(kernel.info.text, kernel.memory.is_live)
    _add_debug_info(prog, kernel, path)
    found = prog.symbols()
    letters = [_letter(symbol) for symbol in found]
    return SymbolTable(
        array("Q", [symbol.address for symbol in found]),
        [letter + symbol.name for letter, symbol in zip(letters, found, strict=True)],
    )


def _letter(symbol: drgn.Symbol) -> str:
    letter = {SymbolKind.FUNC: "t", SymbolKind.OBJECT: "d"}.get(symbol.kind, "?")
    return letter.upper() if symbol.binding == SymbolBinding.GLOBAL else letter


def _add_debug_info(prog: Program, kernel: KernelImage, path: str) -> None:
    # Not load_debug_info: that walks the guest's list of modules without a bound.
    module = prog.main_module("kernel", create=True)
    if kernel.info.build_id:
        module.build_id = bytes.fromhex(kernel.info.build_id)
    try:
        module.try_file(path)
    except (OSError, ValueError, drgn.BadDataError) as error:
        raise KernelError(f"{path}: {error}", hint="give the vmlinux of this very kernel") from None
    if module.wants_debug_file():
        raise KernelError(
            f"{path}: has no debug information of {kernel.memory.name}'s Linux "
            f"{kernel.info.release} (build id {kernel.info.build_id or 'not known'})",
            hint="give its vmlinux as built, or that of the distribution's debug package; "
            "without --symbols the types that the kernel carries are used",
        )


def _program(kernel: KernelImage) -> Program:
    try:
        platform = drgn.Platform(drgn.Architecture[kernel.arch.drgn])
        return Program(platform, vmcoreinfo=kernel.info.text)
    except (drgn.BadDataError, ValueError) as error:
        raise KernelError(
            f"{kernel.memory.name}: VMCOREINFO of Linux {kernel.info.release} is damaged: {error}",
            hint="addresses and symbols still work, types do not",
        ) from None


@contextlib.contextmanager
def _without_plugins() -> Iterator[None]:
    """Keep drgn from loading its plugins, unless the user asks for some.

    They are commands for drgn's own prompt, and take longer to load than all of drgn.
    """
    variable = "DRGN_DISABLE_PLUGINS"
    if any(name in os.environ for name in (variable, "DRGN_PLUGINS")):
        yield
        return
    os.environ[variable] = "*"
    try:
        yield
    finally:
        del os.environ[variable]


def _in(address: int, symbol: Symbol) -> bool:
    return symbol.address <= address < symbol.address + max(symbol.size, 1)


def _drgn_symbol(symbol: Symbol) -> drgn.Symbol:
    binding = SymbolBinding.UNKNOWN
    if symbol.letter in "vVwW":
        binding = SymbolBinding.WEAK
    elif symbol.is_global:
        binding = SymbolBinding.GLOBAL
    kind = _KINDS.get(symbol.letter, SymbolKind.UNKNOWN)
    return drgn.Symbol(symbol.name, symbol.address, symbol.size, binding, kind)
