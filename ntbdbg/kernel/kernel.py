# SPDX-License-Identifier: MIT
"""The Linux kernel in a guest, understood from its RAM alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ntbdbg.budget import Budget
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.boot.linear import DIRECT_MAP, LinearMap
from ntbdbg.kernel.boot.locate import page_tables
from ntbdbg.kernel.image.cache import KernelCache, is_enabled
from ntbdbg.kernel.image.limits import MOST_CPUS
from ntbdbg.kernel.image.once import once
from ntbdbg.kernel.mmu.virtual import VirtualMemory
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.symbols.symbols import Symbol, SymbolTable, nearest

if TYPE_CHECKING:
    import drgn

    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.kernel.btf.layout import Layouts
    from ntbdbg.kernel.btf.reader import Btf
    from ntbdbg.kernel.mmu.paging import PageTables
    from ntbdbg.kernel.modules.listing import Listing
    from ntbdbg.kernel.modules.modules import Module
    from ntbdbg.kernel.modules.types import ModuleTypes
    from ntbdbg.kernel.program.codec import Codec
    from ntbdbg.kernel.program.program import KernelProgram
    from ntbdbg.memory.base import PhysicalMemory

Roots = Callable[[], Sequence[int]]

MOST_BTF_BYTES = 64 << 20


class Kernel:
    """One kernel; everything about it is found out when it is first asked for.

    :ivar memory: the guest's memory by GPA
    :ivar info: what the kernel says of itself
    :ivar others: further kernels in this RAM, left behind by a reboot or kexec
    :ivar number: of this one among all of them, from 1 on, and `other_numbers` of the others
    :ivar lost: why its page tables cannot be used, as a clause; None if they can
    :ivar debug_file: with debug information of it, None if none was given
    :ivar failures: what could not be found out, by its name, while one command goes on
    :ivar roots: gives CR3 of each processor as it is now, as far as that is known
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
        self.memory = memory
        self.info = info
        self.others = list(others)
        self.number = 1
        self.other_numbers = list(range(2, 2 + len(self.others)))
        self.lost = lost
        self.debug_file = symbols
        self._use_cache = cache and is_enabled()
        self._notify = notify or (lambda text: None)
        self.roots: Roots = roots or (lambda: ())
        self._budget = budget
        self.failures: dict[str, KernelError] = {}

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

    def __repr__(self) -> str:
        return f"<Kernel {self.info.release} in {self.memory.name}>"

    @property
    def budget(self) -> Budget:
        """What a walk that begins now may spend: the command's, or one of its own."""
        return self._budget or Budget.for_ram(self.memory.segments.total)

    def step(self, count: int = 1) -> None:
        """Count a read that somebody else does for a walk; SpentError if that is too many."""
        if self._budget is not None:
            self._budget.step(count)

    def remember_failure(self, what: str, error: KernelError) -> None:
        """The command that all this is for need not find out again that `what` cannot be had."""
        if self._budget is not None:
            self.failures[what] = error

    # -- addresses -------------------------------------------------------------------------

    @cached_property
    def tables(self) -> PageTables:
        """Its own page tables, or what stands for them where they are gone."""
        if self.lost is not None:
            return LinearMap(self.memory, self.info, self._direct_map)
        return page_tables(self.memory, self.info)

    def _direct_map(self) -> int | None:
        """Where it maps all RAM in one piece, by its own word."""
        try:
            found = self.table.named("page_offset_base")
            raw = self.virtual.read(found[0].address, 8) if found else None
        except (KernelError, FaultError):
            return None
        fixed = DIRECT_MAP[self.info.pgtable_l5]
        return fixed if raw is None else int.from_bytes(raw, "little")

    @cached_property
    def virtual(self) -> VirtualMemory:
        """Its memory by VA, as its walks read it."""
        return VirtualMemory(self.tables, self._budget)

    def translate(self, address: int) -> int:
        """GPA of a VA; raises FaultError where nothing is mapped."""
        return self.tables.translate(address)[0]

    def cpus(self) -> list[int]:
        """Numbers of the CPUs that have per-CPU memory: the possible ones."""
        return self._cpu_mask("__cpu_possible_mask")

    def online_cpus(self) -> list[int]:
        """Numbers of the CPUs that run."""
        return self._cpu_mask("__cpu_online_mask")

    def _cpu_mask(self, name: str) -> list[int]:
        mask = self.symbol(name)
        size = min(mask.size or 8, MOST_CPUS // 8)
        bits = int.from_bytes(self.virtual.read(mask.address, size), "little")
        return [cpu for cpu in range(8 * size) if bits >> cpu & 1]

    def percpu(self, address: int, cpu: int) -> int:
        """VA of a per-CPU variable on a CPU.

        :param address: of its symbol, or a per-CPU pointer
        :raises KernelError: no such CPU
        """
        cpus = self.cpus()
        if cpu not in cpus:
            raise KernelError(
                f"{self.memory.name}: there is no CPU {cpu}",
                hint=f"its CPUs: {', '.join(map(str, cpus))}",
            )
        offsets = self.symbol("__per_cpu_offset").address
        offset = int.from_bytes(self.virtual.read(offsets + 8 * cpu, 8), "little")
        return (address + offset) & (1 << 64) - 1

    @property
    def _cache(self) -> KernelCache | None:
        build_id = self.info.build_id
        return KernelCache(build_id, notify=self._notify) if build_id and self._use_cache else None

    # -- symbols ---------------------------------------------------------------------------

    @once
    def table(self) -> SymbolTable:
        """The symbols of vmlinux."""
        from ntbdbg.kernel.image.index import symbol_table

        try:
            return symbol_table(self.virtual, self.info, self._cache, self.budget)
        except KernelError:
            if self.debug_file is None:
                raise
            from ntbdbg.kernel.program.program import debug_symbols

            return debug_symbols(self, self.debug_file)

    def symbolizer(self) -> Symbolizer:
        """Look-ups of one moment; cheaper than asking the kernel for many addresses."""
        return Symbolizer(self)

    def symbol(self, name: str, module: str | None = None) -> Symbol:
        """The symbol called `name`; of several that of vmlinux, then a global one, then the lowest.

        :param module: where to look, by default in vmlinux and then in the modules
        :raises KernelError: there is none; the message has similar names
        """
        now = self.symbolizer()
        found = now.first(name, module)
        if found is None:
            raise self._unknown(now, name, module)
        return found

    def symbols(self, name: str, module: str | None = None) -> list[Symbol]:
        """Every symbol called `name`, the one that `symbol` takes first; errors as there."""
        now = self.symbolizer()
        found = now.named(name, module)
        if not found:
            raise self._unknown(now, name, module)
        return found

    def find_symbol(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol that a VA is in, and the bytes from its start; None if there is none."""
        return self.symbolizer().find(address)

    def symbolize(self, address: int) -> str | None:
        """``init_uts_ns+0x4``, ``idt_isr+0x10 [ntb_hw_idt]``; None if no symbol has this VA."""
        return self.symbolizer().label(address)

    def _unknown(self, now: Symbolizer, name: str, module: str | None) -> KernelError:
        similar = nearest(name, [now.table(module)])
        return KernelError(
            f"{self.memory.name}: no symbol {name!r} in "
            + (f"module {module}" if module else f"Linux {self.info.release} or its modules"),
            hint=f"similar: {', '.join(similar)}" if similar else "symbols are case-sensitive",
        )

    # -- types -----------------------------------------------------------------------------

    @once
    def btf(self) -> Btf:
        """The types of vmlinux, as it carries them in its own memory.

        :raises KernelError: it does not, or they make no sense
        """
        from ntbdbg.kernel.btf.table import NEWER
        from ntbdbg.kernel.image.index import types

        start, stop = (self.table.named(f"__{end}_BTF") for end in ("start", "stop"))
        if not start or not stop:
            raise KernelError(
                f"Linux {self.info.release} carries no types (no __start_BTF)",
                hint="kernels with CONFIG_DEBUG_INFO_BTF do; for this one give its vmlinux with "
                "debug information: --symbols FILE",
            )
        size = stop[0].address - start[0].address
        if not 0 < size <= MOST_BTF_BYTES:
            raise KernelError(f"Linux {self.info.release}: {size} bytes of BTF are not plausible")
        self.budget.take(bytes=size)
        found = types(self.virtual.read(start[0].address, size), self._cache)
        if found.trouble is not None:
            self._notify(f"{self.memory.name}: {found.trouble}; {NEWER}")
        return found

    @cached_property
    def layouts(self) -> Layouts:
        """Structures of vmlinux, for walks that must not trust the guest."""
        from ntbdbg.kernel.btf.layout import Layouts

        return Layouts(self.btf)

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
        self._notify(f"{self.memory.name}: types and variables from {self.debug_file}")
        with contextlib.suppress(KernelError):  # then debug information is all there is
            made.add_btf()
        return made

    @property
    def prog(self) -> drgn.Program:
        """The kernel for drgn, whose helpers all work on it; errors as `program`."""
        return self.program.prog

    def type(self, name: str) -> drgn.Type:
        """The type that C calls `name`: ``struct list_head *``; KernelError if there is none.

        Of several of one name, ``struct slot#17`` is that number of BTF, ``ntb:struct slot`` that
        of a module.
        """
        from ntbdbg.kernel.program.choosing import choose_type

        return choose_type(self, name).type

    def object(self, path: str) -> drgn.Object:
        """The variable or member at ``init_uts_ns.name.nodename``, ``mod:sym.member[3]``.

        :raises UsageError: it is no such path
        :raises KernelError: no such symbol, CPU or member, or its type is not known
        :raises FaultError: a pointer on the way leads nowhere
        """
        from ntbdbg.kernel.program.objects import find_object

        return find_object(self, path)

    def codec(self, kind: drgn.Type | str) -> Codec:
        """Bytes to values and back for a type, or the one that C calls so."""
        from ntbdbg.kernel.program.codec import Codec

        return Codec.of(self.type(kind) if isinstance(kind, str) else kind)

    # -- modules ---------------------------------------------------------------------------

    def modules(self) -> Listing[Module]:
        """The loaded modules, the one loaded last first; `partial` says if some may lack."""
        from ntbdbg.kernel.modules.modules import ModuleWalker

        head = self._own_symbol("modules", "it was built without CONFIG_MODULES")
        return ModuleWalker(self.virtual, self.layouts, self.budget).walk(head)

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

        head = self._own_symbol("btf_modules", "CONFIG_DEBUG_INFO_BTF_MODULES is off")
        return ModuleTypes(self, head)

    def _own_symbol(self, name: str, why_not: str) -> int:
        """VA of a symbol of vmlinux, which needs no modules to be found."""
        found = self.table.named(name)
        if not found:
            raise KernelError(f"Linux {self.info.release} has no symbol {name}", hint=why_not)
        return found[0].address
