# SPDX-License-Identifier: MIT
"""The Linux kernel in a guest, understood from its RAM alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kallsyms import load_kallsyms
from ntbdbg.kernel.locate import find_vmcoreinfo, implausible, page_tables, scan
from ntbdbg.kernel.symbols import IMAGE_START, Symbol, SymbolTable, nearest
from ntbdbg.kernel.virtual import VirtualMemory

if TYPE_CHECKING:
    from ntbdbg.kernel.paging import PageTables
    from ntbdbg.kernel.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

MOST_CPUS = 8192
"""``CONFIG_NR_CPUS`` is at most this on x86-64."""


class Kernel:
    """One kernel; everything about it is found out when it is first asked for.

    :ivar memory: the guest's memory by GPA
    :ivar info: what the kernel says of itself
    :ivar others: further kernels in this RAM, left behind by a reboot or kexec
    """

    def __init__(
        self, memory: PhysicalMemory, info: Vmcoreinfo, others: list[Vmcoreinfo] | None = None
    ) -> None:
        self.memory = memory
        self.info = info
        self.others = others or []

    @classmethod
    def open(
        cls,
        memory: PhysicalMemory,
        *,
        symbols: str | None = None,
        cache: bool = True,
        notify: Callable[[str], None] | None = None,
    ) -> Kernel:
        """The live kernel in `memory`.

        :param symbols: file with debug information of this kernel, to be used as well
        :param cache: whether what was found out may be kept on disk (never guest bytes)
        :param notify: called with what the user should know
        :raises KernelError: there is none, or not one whose page tables hold
        """
        found = find_vmcoreinfo(memory)
        if not found:
            raise _none(memory)
        return cls(memory, found[0], found[1:])

    def __repr__(self) -> str:
        return f"<Kernel {self.info.release} in {self.memory.name}>"

    @cached_property
    def tables(self) -> PageTables:
        """Its own page tables."""
        return page_tables(self.memory, self.info)

    @cached_property
    def virtual(self) -> VirtualMemory:
        """Its memory by VA."""
        return VirtualMemory(self.tables)

    @cached_property
    def table(self) -> SymbolTable:
        """The symbols of vmlinux."""
        found = load_kallsyms(self.virtual, self.info)
        return SymbolTable(found.addresses, found.names)

    def translate(self, address: int) -> int:
        """GPA of a VA.

        :raises FaultError: it is not mapped
        """
        return self.tables.translate(address)[0]

    def symbol(self, name: str, module: str | None = None) -> Symbol:
        """The symbol called `name`; of several a global one, then the lowest.

        :param module: where to look, by default in vmlinux
        :raises KernelError: there is none; the message has similar names
        """
        found = self.symbols(name, module)
        if found:
            return found[0]
        similar = nearest(name, self._symbol_tables(module))
        raise KernelError(
            f"{self.memory.name}: no symbol {name!r} in "
            + (f"module {module}" if module else f"Linux {self.info.release}"),
            hint=f"similar: {', '.join(similar)}" if similar else "symbols are case-sensitive",
        )

    def symbols(self, name: str, module: str | None = None) -> list[Symbol]:
        """Every symbol called `name`: global ones first, then by address."""
        return [found for table in self._symbol_tables(module) for found in table.named(name)]

    def find_symbol(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol that a VA is in, and the bytes from its start; None if there is none."""
        if address < IMAGE_START:
            return None
        symbol = self.table.at(address)
        return None if symbol is None else (symbol, address - symbol.address)

    def symbolize(self, address: int) -> str | None:
        """``init_uts_ns+0x4``, ``idt_isr+0x10 [ntb_hw_idt]``; None if no symbol has this VA."""
        found = self.find_symbol(address)
        if found is None:
            return None
        symbol, offset = found
        text = f"{symbol.name}+{offset:#x}" if offset else symbol.name
        return f"{text} [{symbol.module}]" if symbol.module else text

    def cpus(self) -> list[int]:
        """Numbers of the CPUs that have per-CPU memory: the possible ones."""
        mask = self.symbol("__cpu_possible_mask")
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
                hint=f"it has {', '.join(map(str, cpus))}",
            )
        offsets = self.symbol("__per_cpu_offset").address
        offset = int.from_bytes(self.virtual.read(offsets + 8 * cpu, 8), "little")
        return (address + offset) & (1 << 64) - 1

    def _symbol_tables(self, module: str | None) -> list[SymbolTable]:
        return [self.table] if module is None else []


def _none(memory: PhysicalMemory) -> KernelError:
    """Why there is no kernel to be understood."""
    for info in scan(memory):
        try:
            problem = implausible(memory, info)
        except FaultError as error:
            problem = error.message
        return KernelError(
            f"{memory.name}: Linux {info.release} left its VMCOREINFO at {info.address:#x}, "
            f"but {problem}",
            hint="it does not run any more, or its memory is damaged; "
            "guest-physical addresses still work",
        )
    return KernelError(
        f"{memory.name}: no Linux kernel that keeps VMCOREINFO is in its RAM",
        hint="it may still be in its firmware or boot loader, or be built without CONFIG_KEXEC "
        "or CONFIG_CRASH_DUMP; guest-physical addresses work all the same",
    )
