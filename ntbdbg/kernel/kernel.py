# SPDX-License-Identifier: MIT
"""The Linux kernel in a guest, understood from its RAM alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError, UsageError
from ntbdbg.kernel.image.cache import KernelCache, is_enabled
from ntbdbg.kernel.image.image import KernelImage, Roots
from ntbdbg.kernel.image.once import once
from ntbdbg.kernel.modules.symbolizer import Symbolizer

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.kernel.asked.lookup import Found
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.kernel.btf.reader import Btf
    from ntbdbg.kernel.modules.listing import Listing
    from ntbdbg.kernel.modules.modules import Module
    from ntbdbg.kernel.modules.types import ModuleTypes
    from ntbdbg.kernel.program.choosing import TypeChoice
    from ntbdbg.kernel.program.codec import Codec
    from ntbdbg.kernel.program.program import KernelProgram
    from ntbdbg.kernel.program.types import Object, Program, Type
    from ntbdbg.kernel.stacks.backtrace import Backtracer
    from ntbdbg.kernel.symbols.symbols import Symbol, SymbolTable
    from ntbdbg.memory.base import PhysicalMemory


class Kernel(KernelImage):
    """One kernel with all that can be asked of it; it is found out when it is first asked for.

    :ivar debug_file: with debug information of it, None if none was given
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        info: Vmcoreinfo,
        others: Sequence[Vmcoreinfo] = (),
        *,
        symbols: str | None = None,
        cache: bool = True,
        notify: Callable[[str], None] | None = None,
        roots: Roots | None = None,
        budget: Budget | None = None,
        lost: str | None = None,
    ) -> None:
        build_id = info.build_id if cache and is_enabled() else None
        super().__init__(
            memory,
            info,
            KernelCache(build_id, notify=notify) if build_id else None,
            self._debug_table if symbols else None,
            notify=notify,
            roots=roots,
            budget=budget,
            lost=lost,
        )
        self.others = list(others)
        self.other_numbers = list(range(2, 2 + len(self.others)))
        self.debug_file = symbols

    @classmethod
    def open(
        cls,
        memory: PhysicalMemory,
        *,
        symbols: str | None = None,
        cache: bool = True,
        notify: Callable[[str], None] | None = None,
        roots: Roots | None = None,
        budget: Budget | None = None,
        which: int | None = None,
    ) -> Kernel:
        """The live kernel in `memory`, or the one of that number.

        :param symbols: file with debug information of this kernel, to be used as well
        :param cache: whether what was found out may be kept on disk (never guest bytes)
        :param notify: called with what the user should know
        :param roots: gives CR3 of each processor; asked only if that decides something
        :param budget: what all its walks may spend together; by default each has its own
        :param which: a kernel's `number`, where there are several
        :raises KernelError: there is none, or not one whose page tables hold or whose image is
            in its place
        :raises UsageError: there is none of that number
        """
        from ntbdbg.kernel.opening import open_kernel

        def make(info: Vmcoreinfo, lost: str | None) -> Kernel:
            return cls(
                memory,
                info,
                symbols=symbols,
                cache=cache,
                notify=notify,
                roots=roots,
                budget=budget,
                lost=lost,
            )

        return open_kernel(memory, make, notify or (lambda text: None), which)

    # -- symbols ---------------------------------------------------------------------------

    def symbolizer(self) -> Symbolizer:
        """Look-ups of one moment; cheaper than asking the kernel for many addresses."""
        return Symbolizer(self)

    def symbol(self, name: str, module: str | None = None) -> Symbol:
        """The symbol called `name`; of several that of vmlinux, then a global one, then the lowest.

        :param module: where to look, by default in vmlinux and then in the modules
        :raises KernelError: there is none; the message has similar names
        """
        return self.symbolizer().symbol(name, module)

    def symbols(self, name: str, module: str | None = None) -> list[Symbol]:
        """Every symbol called `name`, the one that `symbol` takes first; errors as there."""
        return self.symbolizer().symbols(name, module)

    def find_symbol(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol that a VA is in, and the bytes from its start; None if there is none."""
        return self.symbolizer().find(address)

    def symbolize(self, address: int) -> str | None:
        """``init_uts_ns+0x4``, ``idt_isr+0x10 [ntb_hw_idt]``; None if no symbol has this VA."""
        return self.symbolizer().label(address)

    def _debug_table(self, image: KernelImage) -> SymbolTable:
        """Its symbols by the debug information that was given."""
        from ntbdbg.kernel.program.program import debug_symbols

        assert self.debug_file
        return debug_symbols(image, self.debug_file)

    # -- types -----------------------------------------------------------------------------

    @once
    def program(self) -> KernelProgram:
        """What drgn knows of it.

        :raises KernelError: the kernel carries no types and there is no debug information, or
            what there is belongs to another kernel
        """
        from ntbdbg.kernel.program.program import KernelProgram

        made = KernelProgram(self)
        if self.debug_file is None:
            made.add_btf()
            return made
        made.add_debug_info(self.debug_file)
        self.notify(f"{self.memory.name}: types and variables from {self.debug_file}")
        with contextlib.suppress(KernelError):  # then debug information is all there is
            made.add_btf()
        return made

    @property
    def prog(self) -> Program:
        """The kernel for drgn, whose helpers all work on it; errors as `program`."""
        return self.program.prog

    def type(self, name: str) -> Type:
        """The type that C calls `name`: ``struct list_head *``; KernelError if there is none.

        Of several of one name, ``struct slot#17`` is that number of BTF, ``ntb:struct slot`` that
        of a module.
        """
        return self.choose_type(name).type

    def choose_type(self, name: str) -> TypeChoice:
        """As `type`, and what else is called so."""
        from ntbdbg.kernel.program.choosing import choose_type

        return choose_type(self.program, name)

    def object(self, path: str) -> Object:
        """The variable or member at ``init_uts_ns.name.nodename``, ``mod:sym.member[3]``.

        :raises UsageError: it is no such path
        :raises KernelError: no such symbol, CPU or member, or its type is not known
        :raises FaultError: a pointer on the way leads nowhere
        """
        from ntbdbg.kernel.program.objects import find_object

        return find_object(self, lambda: self.program, path)

    def type_name(self, path: str) -> str | None:
        """The C type of what `path` names, also where each CPU has its own; None if unknown."""
        from ntbdbg.kernel.program.objects import type_of

        try:
            return str(type_of(self, lambda: self.program, path).type_name())
        except (KernelError, FaultError, UsageError):
            return None

    def lookup(self, path: str) -> Found:
        """Where ``init_uts_ns.name.nodename``, ``runqueues@1`` is; errors as `object`."""
        from ntbdbg.kernel.asked.lookup import lookup

        return lookup(self, path, self._member)

    def _member(self, path: str) -> tuple[int, int]:
        from ntbdbg.kernel.program.objects import place_of

        return place_of(self, lambda: self.program, path)

    def codec(self, kind: Type | str) -> Codec:
        """Bytes to values and back for a type, or the one that C calls so."""
        from ntbdbg.kernel.program.codec import Codec

        return Codec.of(self.type(kind) if isinstance(kind, str) else kind)

    # -- stacks ----------------------------------------------------------------------------

    def backtracer(self) -> Backtracer:
        """Unwinds its stacks as of now, by debug information where it was given.

        :raises KernelError: it has no tables to unwind by, or no types
        """
        from ntbdbg.kernel.stacks.backtrace import Backtracer, TableUnwinder
        from ntbdbg.kernel.stacks.orc import OrcFinder

        now = self.symbolizer()
        if self.debug_file is None:
            return Backtracer(self, now, TableUnwinder(self, OrcFinder(self, now)))
        from ntbdbg.kernel.program.debugunwind import DebugUnwinder

        return Backtracer(self, now, DebugUnwinder.of(self, lambda: self.program, now))

    # -- modules ---------------------------------------------------------------------------

    def modules(self) -> Listing[Module]:
        """The loaded modules, the one loaded last first; `partial` says if some may lack."""
        from ntbdbg.kernel.modules.modules import loaded_modules

        return loaded_modules(self)

    def module(self, name: str) -> Module:
        """The module called `name`; KernelError if it is not loaded."""
        now = self.symbolizer()
        now.table(name)
        return next(one for one in now.modules if one.name == name)

    def module_symbols(self, module: Module, budget: Budget | None = None) -> SymbolTable:
        """The symbols of `module`; KernelError if they make no sense."""
        from ntbdbg.kernel.modules.moduledata import module_symbols

        return module_symbols(self.virtual, self.layouts, module, budget or self.budget)

    def module_build_id(self, module: Module) -> str | None:
        """The GNU build id of `module` in hexadecimal, None if the kernel does not keep it."""
        from ntbdbg.kernel.modules.moduledata import module_build_id

        return module_build_id(self.virtual, self.layouts, module)

    def module_btf(self, name: str) -> Btf:
        """The types of a module, on those of vmlinux.

        :raises KernelError: no such module, it has none, or they make no sense
        """
        module = self.module(name)
        return self.module_types().of(module)

    def module_types(self) -> ModuleTypes:
        """Where the types of modules are, as of now; errors as `module_btf`."""
        from ntbdbg.kernel.modules.types import ModuleTypes

        return ModuleTypes(self)
