# SPDX-License-Identifier: MIT
"""What every reader of a kernel begins with: its memory, page tables, symbols and types.

What more is asked of a kernel is read through a `KernelImage` by the rooms above; `Kernel` is one
that has all their answers at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ntbdbg.budget import Budget
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.boot.linear import LinearMap
from ntbdbg.kernel.boot.locate import page_tables
from ntbdbg.kernel.image.limits import MOST_CPUS
from ntbdbg.kernel.image.once import once
from ntbdbg.kernel.mmu.virtual import VirtualMemory
from ntbdbg.kernel.symbols.symbols import no_such_symbol

if TYPE_CHECKING:
    from ntbdbg.arch.base import Architecture
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.kernel.btf.layout import Layouts
    from ntbdbg.kernel.btf.reader import Btf
    from ntbdbg.kernel.image.cache import KernelCache
    from ntbdbg.kernel.mmu.paging import PageTables
    from ntbdbg.kernel.symbols.symbols import Symbol, SymbolTable
    from ntbdbg.memory.base import PhysicalMemory

Roots = Callable[[], Sequence[int]]
"""Gives CR3 of each processor as it is now, as far as that is known."""

MOST_BTF_BYTES = 64 << 20


class KernelImage:
    """One kernel in a guest's RAM; everything about it is found out when it is first asked for.

    :ivar memory: the guest's memory by GPA
    :ivar info: what the kernel says of itself
    :ivar others: further kernels in this RAM, left behind by a reboot or kexec
    :ivar number: of this one among all of them, from 1 on, and `other_numbers` of the others
    :ivar lost: why its page tables cannot be used, as a clause; None if they can
    :ivar cache: what an earlier command kept of it, None if nothing may be kept
    :ivar failures: what could not be found out, by its name, while one command goes on
    :ivar notify: called with what the user should know
    :ivar roots: gives CR3 of each processor as it is now, as far as that is known
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        info: Vmcoreinfo,
        cache: KernelCache | None = None,
        debug_symbols: Callable[[KernelImage], SymbolTable] | None = None,
        *,
        notify: Callable[[str], None] | None = None,
        roots: Roots | None = None,
        budget: Budget | None = None,
        lost: str | None = None,
    ) -> None:
        """
        :param debug_symbols: gives its symbols where its own memory does not
        :param budget: what all walks may spend together; by default each has its own
        """
        self.memory = memory
        self.info = info
        self.cache = cache
        self._debug_symbols = debug_symbols
        self.others: list[Vmcoreinfo] = []
        self.number = 1
        self.other_numbers: list[int] = []
        self.lost = lost
        self.notify = notify or (lambda text: None)
        self.roots: Roots = roots or (lambda: ())
        self._budget = budget
        self.failures: dict[str, KernelError] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.info.release} in {self.memory.name}>"

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

    @property
    def arch(self) -> Architecture:
        """Its architecture, by its own word."""
        return self.info.arch

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
            return self.arch.direct_map(self.info, self.variable)
        except (KernelError, FaultError):
            return None

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
        bits = self.virtual.word(mask.address, size)
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
        offset = self.virtual.word(offsets + 8 * cpu)
        return (address + offset) & (1 << 64) - 1

    # -- symbols ---------------------------------------------------------------------------

    @once
    def table(self) -> SymbolTable:
        """The symbols of vmlinux."""
        from ntbdbg.kernel.image.index import symbol_table

        try:
            return symbol_table(self.virtual, self.info, self.cache, self.budget)
        except KernelError:
            if self._debug_symbols is None:
                raise
            return self._debug_symbols(self)

    def symbol(self, name: str) -> Symbol:
        """The symbol of vmlinux called `name`; of several a global one, then the lowest.

        :raises KernelError: there is none; the message has similar names
        """
        found = self.table.named(name)
        if not found:
            raise no_such_symbol(self.memory.name, name, f"Linux {self.info.release}", self.table)
        return found[0]

    def variable(self, name: str) -> int | None:
        """An ``unsigned long`` of vmlinux; None if it has none of that name.

        :raises FaultError: its memory is gone
        """
        found = self.table.named(name)
        return self.virtual.word(found[0].address) if found else None

    def own_address(self, name: str, why_not: str) -> int:
        """VA of a symbol of vmlinux, which needs no modules to be found."""
        found = self.table.named(name)
        if not found:
            raise KernelError(f"Linux {self.info.release} has no symbol {name}", hint=why_not)
        return found[0].address

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
        found = types(self.virtual.read(start[0].address, size), self.cache)
        if found.trouble is not None:
            self.notify(f"{self.memory.name}: {found.trouble}; {NEWER}")
        return found

    @cached_property
    def layouts(self) -> Layouts:
        """Structures of vmlinux, for walks that must not trust the guest."""
        from ntbdbg.kernel.btf.layout import Layouts

        return Layouts(self.btf)
