# SPDX-License-Identifier: MIT
"""A guest's processors: their registers, and what these mean to its kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError, NtbdbgError, TargetError
from ntbdbg.inspect.x86bits import INTERRUPTS, mode
from ntbdbg.lab.vcpus import vcpus_of
from ntbdbg.units import format_numbers

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.kernel.modules.symbolizer import Symbolizer
    from ntbdbg.kernel.tasks.tasks import CpuTask
    from ntbdbg.lab.guest import Guest

GENERAL = (
    *("rip", "rsp", "rbp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi"),
    *(f"r{number}" for number in range(8, 16)),
)


@dataclass(frozen=True)
class Processor:
    """One of them.

    :ivar registers: by name, as captures and dumps have them
    :ivar task: what its kernel says that it runs, None if that is not known
    :ivar symbols: by register: what its value is the address of
    :ivar tables: whose page tables CR3 has; None if that is not known
    """

    index: int
    registers: Mapping[str, int]
    task: CpuTask | None = None
    symbols: Mapping[str, str] = field(default_factory=dict)
    tables: str | None = None

    @property
    def mode(self) -> str:
        """``64-bit kernel``, ``64-bit user``, …"""
        return mode(self.registers)

    @property
    def interrupts(self) -> bool | None:
        """Whether it takes interrupts (IF); None if RFLAGS are not known."""
        flags = self.registers.get("rflags")
        return None if flags is None else bool(flags & INTERRUPTS)

    @property
    def halted(self) -> bool | None:
        """Whether it waits for an interrupt; None if nobody tells, as in dumps."""
        found = self.registers.get("halted")
        return None if found is None else bool(found)


class Processors:
    """Those of `guest`, as of now.

    :ivar torn: whether they ran while they were read
    :ivar problem: why nothing is known of its kernel, None if something is
    :raises TargetError: their registers are not known
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        found = vcpus_of(guest)
        self._records = {record.index: record.registers for record in found.records}
        self.torn = found.torn
        if not self._records:
            raise TargetError(
                f"{guest.name}: the registers of its processors are not known: {found.why}",
                hint="a running guest, a capture, and a dump with notes have them",
            )
        self._kernel, self.problem = self._kernel_or_why()

    def all(self) -> list[Processor]:
        """Every one, by number."""
        return [self.one(number) for number in sorted(self._records)]

    def one(self, number: int) -> Processor:
        """The one of that number; TargetError if there is none."""
        registers = self._records.get(number)
        if registers is None:
            known = format_numbers(self._records)
            raise TargetError(f"{self._guest.name} has no CPU {number}", hint=f"it has {known}")
        if self._kernel is None:
            return Processor(number, registers)
        task = self._tasks.get(number)
        symbols = dict(self._labels(registers))
        return Processor(number, registers, task, symbols, self._tables(registers, task))

    def _kernel_or_why(self) -> tuple[Kernel | None, str | None]:
        """The kernel if its symbols are known, else why nothing is known of it."""
        try:
            kernel = self._guest.kernel
            _ = kernel.table
        except NtbdbgError as error:
            return None, error.message
        return kernel, None

    @cached_property
    def _symbols(self) -> Symbolizer:
        assert self._kernel
        return self._kernel.symbolizer()

    @cached_property
    def _tasks(self) -> dict[int, CpuTask]:
        from ntbdbg.kernel.tasks.tasks import TaskWalker

        assert self._kernel
        try:
            return {task.cpu: task for task in TaskWalker(self._kernel).cpus()}
        except (KernelError, FaultError):
            return {}

    def _labels(self, registers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        assert self._kernel
        arch = self._kernel.arch
        for name in GENERAL:
            found = self._symbols.label(registers.get(name, 0))
            if found is not None and not (name == arch.registers.pc and arch.is_user(registers)):
                yield name, found

    def _tables(self, registers: Mapping[str, int], task: CpuTask | None) -> str | None:
        """Whose page tables CR3 leads to."""
        kernel = self._kernel
        root = registers.get(kernel.arch.registers.root, 0) if kernel else 0
        if kernel is None or not root:
            return None
        roots = kernel.arch.tables(root, kernel.info)
        if kernel.info.page_table_root == roots[0]:
            return "the kernel's own"
        if task is not None and self._root_of(task) in roots:
            return f"of pid {task.pid} {task.name}"
        return None

    def _root_of(self, task: CpuTask) -> int | None:
        """GPA of a task's page tables."""
        kernel = self._kernel
        assert kernel
        try:
            tasks, spaces = kernel.layouts["task_struct"], kernel.layouts["mm_struct"]
            virtual = kernel.virtual
            space = tasks.read_number(virtual, task.address, "active_mm")
            return kernel.translate(spaces.read_number(virtual, space, "pgd"))
        except (KernelError, FaultError):
            return None
